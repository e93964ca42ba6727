//! The code on the box's label: made once, like the identity, and kept beside it, so that a factory reset does not make the label
//! wrong. `boxd label` prints it.

use enrol::LabelCode;

use crate::cloud::{CloudAddress, Files, random};
use crate::door::qr;

/// The code's file in the state directory: ten letters and digits with a hyphen, and a line's end.
pub(crate) const FILE: &str = "label.code";
/// The drawing that `boxd label` makes there.
const DRAWING: &str = "label.svg";

/// Why the box has no label.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LabelError {
    /// The file cannot be read or written.
    #[error("The label's code cannot be kept in {file}: {error}. See to the directory ([state] dir).")]
    Io {
        /// The file.
        file: String,
        /// Why.
        error: std::io::Error,
    },
    /// The file holds something else.
    #[error("The file {0} is damaged: write the code that stands on the box's label into it.")]
    Damaged(String),
    /// The kernel gives no random bytes.
    #[error("The system gives no random numbers, so no code can be made.")]
    Random,
}

/// The code in the state directory; made and kept there when it has none.
///
/// # Errors
/// [`LabelError`].
pub(crate) fn load(files: &Files) -> Result<LabelCode, LabelError> {
    let file = || files.path(FILE).display().to_string();
    let io = |error| LabelError::Io { file: file(), error };
    if let Some(text) = files.read(FILE).map_err(io)? {
        let code = String::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
        return code.ok_or_else(|| LabelError::Damaged(file()));
    }
    let code = LabelCode::from_random(random().map_err(|_| LabelError::Random)?);
    files.write(FILE, format!("{code}\n").as_bytes()).map_err(io)?;
    Ok(code)
}

/// Where the cloud leads whoever has scanned the label. The code stands behind `#`, which browsers keep to themselves.
pub(crate) fn address(cloud: &CloudAddress, code: &LabelCode) -> String {
    format!("{}/find#{}", cloud.origin(), code.letters())
}

/// What is printed on a label, and a drawing for it in the state directory.
///
/// # Errors
/// When there is no label, or the drawing cannot be written.
pub(crate) fn print(files: &Files, cloud: Option<&CloudAddress>, name: &str) -> anyhow::Result<String> {
    let code = load(files)?;
    let mut lines = vec![format!("code: {code}")];
    if let Some(cloud) = cloud {
        let address = address(cloud, &code);
        if let Some(drawing) = qr::svg(&address) {
            files.write(DRAWING, drawing.as_bytes())?;
            lines.push(format!("drawing: {}", files.path(DRAWING).display()));
        }
        lines.push(format!("in the drawing: {address}"));
        lines.push(format!("by hand: {}/find", cloud.origin()));
    }
    lines.push(format!("on the same network: http://{name}.local"));
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::files_tests::Scratch;

    #[test]
    fn a_label_stays_true_and_a_damaged_file_is_said_and_not_replaced() {
        let scratch = Scratch::new("label");
        let files = scratch.files();
        let first = load(&files).unwrap();
        assert_eq!(load(&files).unwrap(), first);
        assert_ne!(load(&Scratch::new("label-other").files()).unwrap(), first);
        files.write(FILE, b"ABCDE").unwrap();
        let error = load(&files).unwrap_err().to_string();
        assert!(error.contains(FILE) && error.contains("damaged"), "{error}");
        assert_eq!(files.read(FILE).unwrap().unwrap(), b"ABCDE");
    }

    #[test]
    fn what_is_printed_leads_to_the_box_and_is_drawn() {
        let scratch = Scratch::new("label-print");
        let files = scratch.files();
        let cloud = CloudAddress::parse("https://video.example.org").unwrap();
        let text = print(&files, Some(&cloud), "streambox").unwrap();
        let code = load(&files).unwrap();
        assert!(text.contains(&code.to_string()), "{text}");
        assert!(text.contains(&format!("https://video.example.org/find#{}", code.letters())), "{text}");
        let drawing = String::from_utf8(files.read(DRAWING).unwrap().unwrap()).unwrap();
        assert!(drawing.starts_with("<svg") && drawing.contains("xmlns="), "{}", &drawing[..80]);
    }
}
