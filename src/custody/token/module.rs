//! One PKCS#11 module a process, and one session a token. Every call is made under one lock: a
//! module that is ended while another thread is in it may do anything.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::RawAuthPin;

use crate::custody::{CustodyFault, TokenSpec, key_file};

/// The longest file with a PIN in it.
const PIN_BYTES_MAX: usize = 1024;

static MODULE: Mutex<Option<Module>> = Mutex::new(None);

struct Module {
    path: PathBuf,
    context: Pkcs11,
    /// By the labels of their tokens, logged in. They live as long as the process.
    sessions: HashMap<String, Session>,
}

/// Asks a token something, in a session that is logged in; once more where the session was lost.
/// What the token itself says to it stands inside.
///
/// # Errors
/// When there is no way to the token.
pub(super) fn ask<T>(
    spec: &TokenSpec,
    ask: impl Fn(&Pkcs11, &Session) -> Result<T, Error>,
) -> Result<Result<T, Error>, CustodyFault> {
    let mut loaded = MODULE.lock().unwrap_or_else(PoisonError::into_inner);
    let module = match &mut *loaded {
        Some(module) if module.path == spec.module => module,
        Some(module) => {
            let other = module.path.display();
            return Err(fault(spec, format_args!("the process uses the module {other} already")));
        }
        empty => empty.insert(Module::load(spec)?),
    };
    let mut again = false;
    loop {
        let (context, session) = module.session(spec)?;
        match ask(context, session) {
            Err(e) if !again && is_lost(session, &e) => again = true,
            answer => return Ok(answer),
        }
        module.sessions.remove(&spec.token);
    }
}

/// Ends the session with a token; the next question begins one.
pub(super) fn leave(spec: &TokenSpec) {
    let mut loaded = MODULE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = &mut *loaded {
        module.sessions.remove(&spec.token);
    }
}

impl Module {
    fn load(spec: &TokenSpec) -> Result<Self, CustodyFault> {
        let context = Pkcs11::new(&spec.module).and_then(|context| {
            context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
            Ok(context)
        });
        let context = context
            .map_err(|e| fault(spec, format_args!("the module cannot be loaded: {}", words(&e))))?;
        Ok(Self { path: spec.module.clone(), context, sessions: HashMap::new() })
    }

    fn session(&mut self, spec: &TokenSpec) -> Result<(&Pkcs11, &Session), CustodyFault> {
        // One that is logged out finds no keys, as if there were none.
        if !self.sessions.get(&spec.token).is_some_and(is_logged_in) {
            self.sessions.remove(&spec.token);
            let session = match self.connect(spec) {
                Err(Gone(_)) => {
                    // A module may see a token that went and came back only when it begins anew.
                    self.sessions.clear();
                    let _ = self.context.clone().finalize();
                    *self = Self::load(spec)?;
                    self.connect(spec).map_err(|Gone(fault)| fault)?
                }
                Ok(session) => session,
            };
            let (session, token) = session;
            log_in(spec, &session, &token)?;
            self.sessions.insert(spec.token.clone(), session);
        }
        let session = self.sessions.get(&spec.token);
        let session = session.ok_or_else(|| fault(spec, "there is no session"))?;
        Ok((&self.context, session))
    }

    /// A session with a token that can do what is needed.
    fn connect(&self, spec: &TokenSpec) -> Result<(Session, TokenInfo), Gone> {
        let gone = |e: &Error| Gone(fault(spec, format_args!("it does not answer: {}", words(e))));
        let mut tokens: Vec<(Slot, TokenInfo)> = Vec::new();
        for slot in self.context.get_slots_with_token().map_err(|e| gone(&e))? {
            // One slot of several may be out of order.
            tokens.extend(self.context.get_token_info(slot).map(|token| (slot, token)));
        }
        let labels: Vec<String> =
            tokens.iter().map(|(_, token)| format!("{:?}", token.label())).collect();
        tokens.retain(|(_, token)| token.label() == spec.token);
        let (slot, token) = match (tokens.pop(), tokens.is_empty()) {
            (Some(found), true) => found,
            (None, _) => {
                let there = labels.join(", ");
                return Err(Gone(fault(spec, format_args!("not there; what is: {there}"))));
            }
            (Some(_), false) => {
                return Err(Gone(fault(spec, "several tokens have this label; give them others")));
            }
        };
        let mechanisms = self.context.get_mechanism_list(slot).map_err(|e| gone(&e))?;
        if !mechanisms.contains(&MechanismType::AES_GCM) {
            return Err(Gone(fault(spec, "it has no AES-GCM (CKM_AES_GCM), so it cannot wrap")));
        }
        let session = self.context.open_ro_session(slot).map_err(|e| gone(&e))?;
        Ok((session, token))
    }
}

/// There is no way to a token, as things are.
struct Gone(CustodyFault);

/// Logs the process in, unless it is: sessions of one token share that.
fn log_in(spec: &TokenSpec, session: &Session, token: &TokenInfo) -> Result<(), CustodyFault> {
    let file = spec.pin_file.display();
    if token.user_pin_locked() {
        return Err(fault(spec, "its PIN is locked; its security officer can set a new one"));
    }
    if token.user_pin_final_try() {
        let what = "one more wrong PIN locks it; log in by hand once, with the right one";
        return Err(fault(spec, what));
    }
    let bytes = key_file::private(&spec.pin_file, PIN_BYTES_MAX)?;
    let bytes = bytes.ok_or_else(|| fault(spec, format_args!("there is no PIN file {file}")))?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let pin = line.strip_suffix(b"\r").unwrap_or(line);
    if pin.is_empty() {
        return Err(fault(spec, format_args!("the first line of {file} is empty, and no PIN")));
    }
    let pin = RawAuthPin::new(Box::new(pin.to_vec()));
    match session.login_with_raw(UserType::User, &pin) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(Error::Pkcs11(
            RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid,
            _,
        )) => Err(fault(spec, format_args!("it refuses the PIN in {file}"))),
        Err(e) => Err(refused(spec, &e)),
    }
}

/// Whether a session is of no use any more. What a token says to a question of its own does not
/// tell: some call everything a general error.
fn is_lost(session: &Session, e: &Error) -> bool {
    // Of a question that was not ended properly.
    matches!(e, Error::Pkcs11(RvError::OperationActive, _)) || !is_logged_in(session)
}

fn is_logged_in(session: &Session) -> bool {
    let state = session.get_session_info().map(|info| info.session_state());
    matches!(state, Ok(SessionState::RoUser | SessionState::RwUser))
}

/// What a token said no with.
pub(super) fn refused(spec: &TokenSpec, e: &Error) -> CustodyFault {
    fault(spec, words(e))
}

/// What is wrong with a token.
pub(super) fn fault(spec: &TokenSpec, what: impl Display) -> CustodyFault {
    CustodyFault::Master(format!("{}: {what}", spec.described()))
}

/// The name of an error instead of the paragraph that a standard writes of it.
fn words(e: &Error) -> String {
    match e {
        Error::Pkcs11(value, function) => format!("{function:?} ended with {value:?}"),
        Error::LibraryLoading(e) => e.to_string(),
        e => e.to_string(),
    }
}
