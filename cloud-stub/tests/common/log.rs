//! Everything that has been logged, at the most talkative level.

use std::sync::{Mutex, Once};

pub(crate) static LOG: Log = Log(Mutex::new(Vec::new()));

pub(crate) struct Log(Mutex<Vec<u8>>);

impl Log {
    pub(crate) fn start() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let filter = cloud_stub::log::filter(tracing::Level::TRACE);
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| &LOG).init();
        });
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl std::io::Write for &Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
