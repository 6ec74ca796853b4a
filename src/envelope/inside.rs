//! What stands inside: how the text was put up before it was sealed.

use std::borrow::Cow;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::compile::Compiler;
use super::{CannotOpen, php};
use crate::recipe::{Evaluation, Template};
use crate::secret::Plaintext;

/// The most random bytes of a frame.
const FRAME_RANDOM_MAX: usize = 64;

/// How the text is put up.
pub(super) enum Inside {
    /// As UTF-8 text.
    Text,
    /// As any bytes.
    Bytes,
    /// As one value that PHP's `serialize()` wrote; with `raw`, text that does not look like one
    /// stands for itself.
    Php { raw: bool },
    /// Random bytes, a length of four bytes, the text, and the receiver's id.
    Frame { random: usize, id: Template },
    /// As a template over `opened` takes it out.
    Template(Template),
}

/// A text that was taken out, and whether it is JSON because it was made so here.
pub(super) struct Unpacked {
    pub(super) text: Plaintext,
    pub(super) made_json: bool,
}

impl Unpacked {
    fn text(text: Plaintext) -> Result<Self, CannotOpen> {
        match simdutf8::basic::from_utf8(&text) {
            Ok(_) => Ok(Self { text, made_json: false }),
            Err(_) => Err(CannotOpen),
        }
    }

    fn json(json: Vec<u8>) -> Result<Self, CannotOpen> {
        Ok(Self { made_json: true, ..Self::text(Plaintext::from(json))? })
    }
}

impl Inside {
    /// Reads the key `inside`.
    pub(super) fn compile(compiler: &Compiler<'_>) -> Option<Self> {
        let key = "inside";
        let Some(text) = compiler.reading.text(key) else {
            return (!compiler.reading.has(key)).then_some(Self::Text);
        };
        match text {
            "text" => return Some(Self::Text),
            "bytes" => return Some(Self::Bytes),
            "php" => return Some(Self::Php { raw: false }),
            "php-or-raw" => return Some(Self::Php { raw: true }),
            _ => {}
        }
        if let Some(inner) = text.strip_prefix("frame(").and_then(|rest| rest.strip_suffix(')')) {
            return Self::frame(compiler, inner);
        }
        if text.contains('{') {
            return Some(Self::Template(compiler.opening_text(key, text)?));
        }
        let known =
            "this is text, bytes, php, php-or-raw, frame(16, @id) or a template over {opened}";
        compiler.reading.refuse(key, known, None)
    }

    /// `16, @corp_id`: how many random bytes, and the value that the frame must end with.
    fn frame(compiler: &Compiler<'_>, inner: &str) -> Option<Self> {
        let parsed = inner.split_once(',').and_then(|(random, id)| {
            let random = random.trim().parse().ok().filter(|n| *n <= FRAME_RANDOM_MAX)?;
            Some((random, id.trim().strip_prefix('@')?))
        });
        let Some((random, id)) = parsed else {
            let form = "a frame is written frame(16, @id)";
            return compiler.reading.refuse("inside", form, None);
        };
        let own = compiler.own.iter().any(|(name, _)| *name == id);
        let text =
            if own || id == "secret" { format!("{{{id}}}") } else { format!("{{cred:{id}}}") };
        Some(Self::Frame { random, id: compiler.opening_text("inside", &text)? })
    }

    /// Whether a look at the message is needed to take the text out.
    pub(super) fn reads_message(&self) -> bool {
        matches!(self, Self::Frame { .. } | Self::Template(_))
    }

    /// Takes the text out of what was opened.
    ///
    /// # Errors
    /// When it is not put up as it must be.
    pub(super) fn unpack(&self, mut opened: Plaintext) -> Result<Unpacked, CannotOpen> {
        match self {
            Self::Php { raw: true } if !php::looks_serialized(&opened) => {}
            Self::Php { .. } => match php::read(&opened)? {
                Cow::Borrowed(text) => {
                    // The string ends with a quote and a semicolon: cut in place, not copied.
                    let (front, length) = (opened.len() - text.len() - 2, text.len());
                    opened.keep(front, length);
                }
                Cow::Owned(json) => return Unpacked::json(json),
            },
            Self::Bytes => return Ok(Unpacked { text: opened, made_json: false }),
            Self::Text | Self::Frame { .. } | Self::Template(_) => {}
        }
        Unpacked::text(opened)
    }

    /// The same where the message has a part in it; `look` has `opened` handed in.
    ///
    /// # Errors
    /// As [`Inside::unpack`].
    pub(super) fn unpack_with(
        &self,
        opened: &[u8],
        look: &Evaluation<'_>,
    ) -> Result<Unpacked, CannotOpen> {
        Unpacked::text(match self {
            Self::Frame { random, id } => {
                unframe(opened, *random, &look.bytes(id)?)?.to_vec().into()
            }
            Self::Template(template) => look.secret_bytes(template)?.into(),
            _ => return Err(CannotOpen),
        })
    }

    /// Puts a text up, as far as that needs no template.
    pub(super) fn pack(
        &self,
        text: &[u8],
        look: &Evaluation<'_>,
        random: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        Ok(Zeroizing::new(match self {
            Self::Text | Self::Bytes => text.to_vec(),
            Self::Php { .. } => php::write_string(text),
            Self::Frame { id, .. } => {
                let length = u32::try_from(text.len()).map_err(|_| CannotOpen)?;
                [random, &length.to_be_bytes(), text, &look.bytes(id)?].concat()
            }
            Self::Template(_) => return Err(CannotOpen),
        }))
    }

    /// Random bytes that [`Inside::pack`] wants.
    pub(super) fn random_bytes(&self) -> usize {
        if let Self::Frame { random, .. } = self { *random } else { 0 }
    }
}

/// The text in a frame whose id is the right one.
fn unframe<'o>(opened: &'o [u8], random: usize, id: &[u8]) -> Result<&'o [u8], CannotOpen> {
    let (_, rest) = opened.split_at_checked(random).ok_or(CannotOpen)?;
    let (length, rest) = rest.split_at_checked(4).ok_or(CannotOpen)?;
    let length = u32::from_be_bytes(length.try_into().map_err(|_| CannotOpen)?);
    let length = usize::try_from(length).map_err(|_| CannotOpen)?;
    let (text, receiver) = rest.split_at_checked(length).ok_or(CannotOpen)?;
    if bool::from(receiver.ct_eq(id)) { Ok(text) } else { Err(CannotOpen) }
}
