//! Why the store did not do what it was asked: the database's troubles, and the refusals that are somebody's affair.

use std::borrow::Cow;

/// What went wrong. The words say what was being done and what the operator can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database does not answer, or its files cannot be opened or written.
    #[error(
        "cannot {doing}: the database does not answer ({cause}); see that it runs and that its files can be written"
    )]
    Gone {
        /// What was being done.
        doing: &'static str,
        /// What the driver says.
        cause: String,
    },
    /// Somebody else holds the database for longer than a writer waits.
    #[error("cannot {doing}: the database is locked by another program; end that program, or wait for it")]
    Locked {
        /// What was being done.
        doing: &'static str,
    },
    /// There is no room.
    #[error("cannot {doing}: the database has no room left; free some space on its disk")]
    Full {
        /// What was being done.
        doing: &'static str,
    },
    /// The database says something that it never should.
    #[error("cannot {doing}: the database holds something unexpected ({cause}); restore it from a copy")]
    Broken {
        /// What was being done.
        doing: &'static str,
        /// What it is.
        cause: String,
    },
    /// The database works, but this may not be done.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// What may not be done, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such session, or it is another box's.
    #[error("there is no such session")]
    NoSession,
    /// Nobody has claimed the session's code yet.
    #[error("nobody has claimed the code yet")]
    NotClaimed,
    /// The code was not claimed in time, or died.
    #[error("the session has expired: the box must ask again")]
    Expired,
    /// Another box has said the same hello before.
    #[error("this hello was said before")]
    Repeated,
    /// The box signed for an owner or a key that the session does not have.
    #[error("the box has signed something else than was claimed")]
    OtherWords,
    /// No live code is this one.
    #[error("no box shows this code: look at it again, or let the box show a new one")]
    NoCode,
    /// Too many wrong codes in a short time.
    #[error("too many wrong codes: wait {retry_after_s} s and try again")]
    TooManyClaims {
        /// Seconds until claims are heard again.
        retry_after_s: u64,
    },
    /// Too many boxes are enrolling at this time.
    #[error("too many boxes are enrolling: try again in a few minutes")]
    TooManySessions,
    /// The owner's name cannot be one.
    #[error("an owner's name is 1 to 64 letters, digits, spaces or signs, and no control characters")]
    OwnerName,
    /// The box belongs to somebody else.
    #[error("the box belongs to another owner, who must release it first: cloud release {box_id}")]
    OtherOwner {
        /// The box.
        box_id: String,
    },
    /// The box is revoked.
    #[error("this box is revoked")]
    Revoked,
    /// Another box has this tunnel key.
    #[error("another box has this tunnel key: the box must make a new one")]
    KeyTaken,
    /// No address is left.
    #[error("all {size} addresses of {network} are given away: choose a larger [hub] network")]
    PoolExhausted {
        /// The boxes' network.
        network: String,
        /// How many addresses it has for boxes.
        size: u64,
    },
    /// No such box.
    #[error("there is no box {0}: `cloud boxes` lists them")]
    NoBox(String),
    /// No such camera.
    #[error("there is no camera {0}: `cloud cameras` lists them")]
    NoCamera(String),
    /// It is not there, whatever it is.
    #[error("there is no such thing")]
    NotThere,
    /// Nobody has this e-mail address.
    #[error("nobody has the e-mail address {0}: `cloud person list` lists them all")]
    NoPerson(String),
    /// A tenant of this name is there already.
    #[error("there is a tenant of this name already")]
    NameTaken,
    /// Nobody would be left who may do everything in the tenant.
    #[error("somebody must stay its owner: make another one first")]
    LastOwner,
    /// It cannot be taken as it is.
    #[error("{0}")]
    Unfit(&'static str),
    /// A report lists more cameras than it may, or its box has had too many over time.
    #[error("there are too many cameras: at most {0}")]
    TooManyCameras(usize),
}

/// Which database it is; their error codes differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// What is unexpected, in words.
pub(crate) struct Cause(String);

impl<T: std::fmt::Display> From<T> for Cause {
    fn from(cause: T) -> Self {
        Self(cause.to_string())
    }
}

impl Error {
    /// An error that will be gone when the same is tried later.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Gone { .. } | Self::Locked { .. } | Self::Full { .. })
    }

    pub(crate) fn broken(doing: &'static str, cause: impl Into<Cause>) -> Self {
        Self::Broken { doing, cause: cause.into().0 }
    }

    /// Sorts a driver's error.
    pub(crate) fn from_driver(kind: Kind, doing: &'static str, error: &sqlx::Error) -> Self {
        let gone = || Self::Gone { doing, cause: error.to_string() };
        match error {
            sqlx::Error::Database(inside) => {
                let code = inside.code().unwrap_or(Cow::Borrowed(""));
                match kind {
                    Kind::Sqlite => Self::from_sqlite(doing, &code, error),
                    Kind::Postgres => Self::from_postgres(doing, &code, error),
                }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => gone(),
            _ => Self::broken(doing, error),
        }
    }

    /// By SQLite's result codes (https://www.sqlite.org/rescode.html); the low byte is the primary one.
    fn from_sqlite(doing: &'static str, code: &str, error: &sqlx::Error) -> Self {
        match code.parse::<i32>().map(|code| code & 0xff) {
            Ok(5 | 6) => Self::Locked { doing },
            Ok(13) => Self::Full { doing },
            // READONLY, IOERR, CANTOPEN
            Ok(8 | 10 | 14) => Self::Gone { doing, cause: error.to_string() },
            _ => Self::broken(doing, error),
        }
    }

    /// By PostgreSQL's SQLSTATE classes (its manual, appendix A).
    fn from_postgres(doing: &'static str, code: &str, error: &sqlx::Error) -> Self {
        match code {
            // lock_not_available, query_canceled (by our own statement_timeout), deadlock, serialization
            "55P03" | "57014" | "40P01" | "40001" => Self::Locked { doing },
            "53100" | "53200" => Self::Full { doing },
            // character_not_in_repertoire: a NUL, which no text in it holds. SQLite looks for it and finds nothing.
            "22021" => Self::Refused(Refused::NotThere),
            // connection exceptions, operator intervention, insufficient resources, read-only, log-in
            _ if ["08", "57", "53", "25", "28", "3D", "58"].iter().any(|class| code.starts_with(class)) => {
                Self::Gone { doing, cause: error.to_string() }
            }
            _ => Self::broken(doing, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_text_holds_is_not_there() {
        let of = |code| Error::from_postgres("look", code, &sqlx::Error::RowNotFound);
        assert!(matches!(of("22021"), Error::Refused(Refused::NotThere)));
        assert!(matches!(of("57014"), Error::Locked { .. }));
        assert!(matches!(of("57P01"), Error::Gone { .. }));
        assert!(matches!(of("22P02"), Error::Broken { .. }));
    }
}
