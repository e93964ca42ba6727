//! A text file for whoever helps the owner: everything that tells what is wrong, and no secret.

use std::fmt::Write as _;

use camera::Source;

use super::Owner;
use super::redact::redacted;
use crate::cloud::date;
use crate::state::lock;

/// Events that are in it.
const EVENTS: usize = 50;
/// Most bytes of it: with what JSON adds it must fit a line to the page's process.
const MOST: usize = 480 << 10;

impl Owner {
    /// The text.
    pub(super) fn diagnostics(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text);
        self.without_secrets(&text)
    }

    /// What this process has logged last, for the cloud, as much as a report may carry.
    pub(crate) fn journal(&self) -> String {
        let mut room = 2 * model::update::JOURNAL;
        let lines = self.0.lines.all();
        let fits = lines.iter().rev().take_while(|line| {
            let fits = line.len() < room;
            room = room.saturating_sub(line.len() + 1);
            fits
        });
        let from = lines.len() - fits.count();
        self.without_secrets(&lines.get(from..).unwrap_or_default().join("\n"))
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let overview = self.overview();
        let status = self.0.shared.cloud().status();
        writeln!(out, "streambox {}", overview.version)?;
        writeln!(out, "up {} s, {}", overview.up_s, overview.condition)?;
        writeln!(
            out,
            "clock {} ({}){}",
            date(self.0.time.now()),
            if overview.clock_known { "known" } else { "unknown" },
            self.0.time.sentence().map(|sentence| format!(": {sentence}")).unwrap_or_default()
        )?;
        if let Ok(system) = nix::sys::utsname::uname().map(|system| {
            [system.sysname(), system.release(), system.machine()]
                .map(|word| word.to_string_lossy().into_owned())
        }) {
            writeln!(out, "system {}", system.join(" "))?;
        }
        if let Some(complaint) = self.0.store.complaint() {
            writeln!(out, "settings: {complaint}")?;
        }
        writeln!(out, "\n== cloud")?;
        writeln!(out, "{}, box {:?}, obstacle {:?}", status.phase.word(), status.box_id, status.obstacle)?;
        writeln!(out, "tunnel {:?}", status.tunnel)?;
        writeln!(out, "uplink {:?}", status.uplink)?;
        writeln!(out, "\n== cameras")?;
        for row in &overview.cameras {
            writeln!(
                out,
                "{} {:?} at {} ({} {}), on {}, ours {}: {:?}, {:.1}/s, {} bit/s, GOP {:.1} s, {:?}",
                row.id,
                row.name,
                row.address,
                row.maker.as_deref().unwrap_or("?"),
                row.model.as_deref().unwrap_or("?"),
                row.on,
                row.ours,
                row.state,
                row.fps,
                row.bit_rate,
                row.gop_seconds,
                row.picture,
            )?;
            for obstacle in &row.obstacles {
                writeln!(out, "  {}: {}", obstacle.code, obstacle.sentence)?;
            }
        }
        writeln!(out, "\n== devices")?;
        for device in &overview.devices {
            writeln!(
                out,
                "{} {:?} ({:?} {:?}) at {:?} on {:?} by {:?}: {:?}",
                device.key,
                device.name,
                device.maker,
                device.model,
                device.addresses,
                device.interfaces,
                device.sources,
                device.obstacles.iter().map(|obstacle| obstacle.code.as_str()).collect::<Vec<_>>(),
            )?;
        }
        writeln!(out, "\n== events, newest first")?;
        for event in self.0.events.list().iter().take(EVENTS) {
            let at = date(std::time::Duration::from_millis(event.at_ms));
            writeln!(out, "{at} {} {}", event.code, event.sentence)?;
        }
        writeln!(out, "\n== log")?;
        // The newest lines are worth most.
        let lines = self.0.lines.all();
        let mut room = MOST.saturating_sub(out.len());
        let fits = lines.iter().rev().take_while(|line| {
            let fits = line.len() < room;
            room = room.saturating_sub(line.len() + 1);
            fits
        });
        let from = lines.len() - fits.count();
        for line in lines.get(from..).unwrap_or_default() {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    /// The text without any secret that this process knows.
    fn without_secrets(&self, text: &str) -> String {
        let inner = &self.0;
        let sources: Vec<Source> = lock(&inner.sources).values().cloned().collect();
        let kept = inner.store.secrets();
        let addresses: Vec<String> = sources.iter().map(|source| source.address.unmasked()).collect();
        let mut files = Vec::new();
        for name in ["identity.key", "tunnel.key", "label.code"] {
            let bytes = inner.files.read(name).ok().flatten().unwrap_or_default();
            files.push(String::from_utf8_lossy(&bytes).trim().to_owned());
        }
        let mut secrets: Vec<&str> = kept.iter().map(|secret| secret.expose().as_str()).collect();
        secrets.extend(inner.configured_secrets.iter().map(|secret| secret.expose().as_str()));
        secrets.extend(files.iter().map(String::as_str));
        // An address that is shown masked has a secret in it.
        let masked = sources
            .iter()
            .zip(&addresses)
            .filter(|(source, address)| source.address.to_string() != **address);
        secrets.extend(masked.map(|(_, address)| address.as_str()));
        let logins: Vec<(&str, &str)> = sources
            .iter()
            .filter_map(|source| Some((source.user.as_deref()?, source.password.as_ref()?.expose().as_str())))
            .collect();
        redacted(text, &secrets, &logins)
    }
}
