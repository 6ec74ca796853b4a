//! The envelopes that come with the program.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::compiled;
use crate::envelope::Envelope;

/// The files, by name.
const FILES: [(&str, &str); 30] = [
    ("adyen-nexo.toml", include_str!("../../../config/envelopes/adyen-nexo.toml")),
    ("airudder.toml", include_str!("../../../config/envelopes/airudder.toml")),
    ("alrajhi-arb.toml", include_str!("../../../config/envelopes/alrajhi-arb.toml")),
    ("ccavenue.toml", include_str!("../../../config/envelopes/ccavenue.toml")),
    ("ecpay-data.toml", include_str!("../../../config/envelopes/ecpay-data.toml")),
    ("feishu-event.toml", include_str!("../../../config/envelopes/feishu-event.toml")),
    ("flutterwave-v2.toml", include_str!("../../../config/envelopes/flutterwave-v2.toml")),
    ("flutterwave-v3.toml", include_str!("../../../config/envelopes/flutterwave-v3.toml")),
    ("icici-hybrid.toml", include_str!("../../../config/envelopes/icici-hybrid.toml")),
    ("interchecks.toml", include_str!("../../../config/envelopes/interchecks.toml")),
    ("juicyway.toml", include_str!("../../../config/envelopes/juicyway.toml")),
    ("juspay-payout.toml", include_str!("../../../config/envelopes/juspay-payout.toml")),
    ("mastercard-fle.toml", include_str!("../../../config/envelopes/mastercard-fle.toml")),
    ("mono-card-fields.toml", include_str!("../../../config/envelopes/mono-card-fields.toml")),
    ("newebpay-mpg.toml", include_str!("../../../config/envelopes/newebpay-mpg.toml")),
    ("nttdata-atom.toml", include_str!("../../../config/envelopes/nttdata-atom.toml")),
    ("opayo-form.toml", include_str!("../../../config/envelopes/opayo-form.toml")),
    ("oppwa-webhook.toml", include_str!("../../../config/envelopes/oppwa-webhook.toml")),
    ("paramount-interac.toml", include_str!("../../../config/envelopes/paramount-interac.toml")),
    ("payhub-payout.toml", include_str!("../../../config/envelopes/payhub-payout.toml")),
    ("paykun.toml", include_str!("../../../config/envelopes/paykun.toml")),
    ("paywize-v1.toml", include_str!("../../../config/envelopes/paywize-v1.toml")),
    ("paywize-v2.toml", include_str!("../../../config/envelopes/paywize-v2.toml")),
    ("rfc8188-aes128gcm.toml", include_str!("../../../config/envelopes/rfc8188-aes128gcm.toml")),
    ("secpaid-webhook.toml", include_str!("../../../config/envelopes/secpaid-webhook.toml")),
    ("signingcloud.toml", include_str!("../../../config/envelopes/signingcloud.toml")),
    ("visa-mle.toml", include_str!("../../../config/envelopes/visa-mle.toml")),
    (
        "wechatpay-v2-refund.toml",
        include_str!("../../../config/envelopes/wechatpay-v2-refund.toml"),
    ),
    ("wechatpay-v3.toml", include_str!("../../../config/envelopes/wechatpay-v3.toml")),
    ("wecom-callback.toml", include_str!("../../../config/envelopes/wecom-callback.toml")),
];

static ALL: LazyLock<BTreeMap<String, Arc<Envelope>>> = LazyLock::new(|| {
    let all = FILES.iter().flat_map(|(file, text)| compiled(file, text));
    all.map(|envelope| (envelope.name().to_owned(), Arc::new(envelope))).collect()
});

/// A built-in envelope.
pub fn builtin(name: &str) -> Option<Arc<Envelope>> {
    ALL.get(name).cloned()
}

/// The names of the built-in envelopes, in order.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    ALL.keys().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::Document;
    use crate::config::envelope::tables;

    #[test]
    fn every_built_in_envelope_compiles_and_says_what_it_is() {
        for (file, text) in FILES {
            let document = Document::parse(std::path::Path::new(file), text);
            let found = tables(&document).iter().filter_map(|placed| placed.compile()).count();
            let faults: Vec<String> =
                document.into_faults().iter().map(|fault| format!("{fault:?}")).collect();
            assert!(faults.is_empty() && found == 1, "{file}: {}", faults.join("\n"));
        }
        assert_eq!(ALL.len(), FILES.len());
        assert!(ALL.values().all(|envelope| !envelope.about().is_empty() && envelope.seals()));
    }
}
