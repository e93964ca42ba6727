//! How a box becomes part of a cloud, as far as both must agree: identities, signatures, codes, check words. Sans-IO:
//! random bytes and keys come in as arguments.
//!
//! * [`Identity`]: a box's Ed25519 key; signs [`Hello`](model::enrol::Hello) and [`Join`](model::enrol::Join).
//! * [`verify_hello`], [`verify_join`], [`verify_question`], [`verify_report`]: what the cloud checks before it believes.
//! * [`Code`]: the 8 letters that the owner types.
//! * [`check_words`]: what the box's page and the cloud both show, so that people see that they mean the same box.
//! * [`LabelCode`]: the code on the box's label, and what the cloud is told of it.
//! * [`name128`]: 128 bits as a name for links.

mod code;
mod identity;
mod label;
mod message;
mod name;
mod words;

pub use code::{Code, InvalidCode};
pub use identity::{Identity, InvalidIdentity};
pub use label::{InvalidLabel, LabelCode};
pub use message::{
    Asked, Refused, Told, Unsigned, sign_hello, sign_join, sign_question, sign_report, verify_hello,
    verify_join, verify_question, verify_report,
};
pub use name::{box_id, name128};
pub use words::check_words;
