//! What people read, in Kazakh, Russian or English. Times are those of the place where the cameras are, or UTC, and always say
//! which: a mail has no clock of its reader's.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Notice;
use super::machine::What;
use crate::status::Reason;

/// Most cameras that are named; the rest is counted.
const NAMED: usize = 12;
/// Longest name that is shown, characters.
const NAME: usize = 80;

/// A language that messages are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Kazakh,
    Russian,
    English,
}

impl Language {
    /// The language of a word such as `kk`; English is for everybody else.
    pub(super) fn of(word: &str) -> Self {
        match word {
            "kk" => Self::Kazakh,
            "ru" => Self::Russian,
            _ => Self::English,
        }
    }

    fn pick(self, kk: &'static str, ru: &'static str, en: &'static str) -> &'static str {
        match self {
            Self::Kazakh => kk,
            Self::Russian => ru,
            Self::English => en,
        }
    }
}

/// Subject and text of a mail.
pub(super) fn mail(notice: &Notice, language: Language) -> (String, String) {
    let sentence = sentence(notice, language);
    let mut lines = vec![sentence.clone(), String::new()];
    let cause = reason(notice.reason, language);
    let lasting =
        matches!(notice.event, What::CameraOut | What::SiteOut | What::CameraUnstable | What::SiteUnstable);
    if lasting {
        lines.push(cause.to_owned());
    }
    let clock = |ms| clock(ms, &notice.time_zone, language);
    lines.push(format!("{}: {}", language.pick("Басталды", "Началось", "Began"), clock(notice.since_ms)));
    if let Some(until) = notice.until_ms {
        lines.push(format!("{}: {}", language.pick("Аяқталды", "Закончилось", "Ended"), clock(until)));
    }
    if notice.cameras.len() > 1 || !notice.still.is_empty() {
        lines.push(String::new());
        let cameras = notice.cameras.iter().take(NAMED);
        lines.extend(cameras.map(|camera| format!("- {}: {}", name(&camera.name), camera.url)));
        lines.extend(more(notice.cameras.len(), language));
    } else if let Some(camera) = notice.cameras.first() {
        lines.push(camera.url.clone());
    }
    if !notice.still.is_empty() {
        lines.push(String::new());
        lines.push(
            language
                .pick("Әлі сурет жоқ:", "Всё ещё без изображения:", "Still without a picture:")
                .to_owned(),
        );
        lines.extend(notice.still.iter().take(NAMED).map(|camera| format!("- {}", name(&camera.name))));
        lines.extend(more(notice.still.len(), language));
    }
    (sentence, lines.join("\r\n") + "\r\n")
}

/// What has happened, in a sentence.
pub(super) fn sentence(notice: &Notice, language: Language) -> String {
    let camera = notice.cameras.first().map(|camera| name(&camera.name)).unwrap_or_default();
    let site = if notice.site.name.is_empty() { &notice.tenant.name } else { &notice.site.name };
    let (camera, site) = (format!("«{camera}»"), format!("«{}»", name(site)));
    let words = match notice.event {
        What::CameraOut => language.pick(
            "{camera} камерасынан сурет келмейді",
            "Нет изображения с камеры {camera}",
            "No picture from camera {camera}",
        ),
        What::CameraBack => language.pick(
            "{camera} камерасы қайта жұмыс істейді",
            "Камера {camera} снова работает",
            "Camera {camera} works again",
        ),
        What::CameraUnstable => language.pick(
            "{camera} камерасы тұрақсыз: сурет жиі үзіледі",
            "Камера {camera} нестабильна: изображение часто пропадает",
            "Camera {camera} is unstable: its picture comes and goes",
        ),
        What::CameraSteady => language.pick(
            "{camera} камерасы бір сағаттан бері үзіліссіз жұмыс істейді",
            "Камера {camera} уже час работает без перерывов",
            "Camera {camera} has been steady for an hour",
        ),
        What::SiteOut => language.pick(
            "{site} нысанының бірде-бір камерасынан сурет келмейді",
            "Нет изображения ни с одной камеры объекта {site}",
            "No picture from any camera of site {site}",
        ),
        What::SiteBack => language.pick(
            "{site} нысаны қайта байланыста",
            "Объект {site} снова на связи",
            "Site {site} is back",
        ),
        What::SiteUnstable => language.pick(
            "{site} нысанының байланысы тұрақсыз",
            "Связь с объектом {site} нестабильна",
            "Site {site} is unstable: it comes and goes",
        ),
        What::SiteSteady => language.pick(
            "{site} нысаны бір сағаттан бері үзіліссіз байланыста",
            "Объект {site} уже час на связи без перерывов",
            "Site {site} has been steady for an hour",
        ),
    };
    // Names are put in last: one may contain anything.
    words.split_once("{camera}").map_or_else(
        || words.split_once("{site}").map_or(words.to_owned(), |(a, b)| format!("{a}{site}{b}")),
        |(a, b)| format!("{a}{camera}{b}"),
    )
}

/// Why, in a sentence.
fn reason(reason: Reason, language: Language) -> &'static str {
    match reason {
        Reason::Password => language.pick(
            "Камера логин мен құпиясөзді қабылдамайды: нысанда түзету керек.",
            "Камера не принимает логин и пароль: их нужно исправить на объекте.",
            "The camera refuses its login: somebody at the site must correct it.",
        ),
        Reason::Settings => language.pick(
            "Камера жауап береді, бірақ ағынын көрсету мүмкін емес: баптауын тексеріңіз.",
            "Камера отвечает, но её поток нельзя показать: проверьте её настройки.",
            "The camera answers, but its stream cannot be shown: check its settings.",
        ),
        Reason::Site => language.pick(
            "Нысанмен байланыс жоқ: электр қуатын және интернетті тексеріңіз.",
            "Нет связи с объектом: проверьте питание и интернет.",
            "Nothing is heard of the site: check its power and its Internet.",
        ),
        Reason::Cloud | Reason::Reader => language.pick(
            "Қызметтің өзінде үзіліс болды; ол өздігінен қалпына келеді.",
            "Перерыв в работе самого сервиса; он восстановится сам.",
            "The service itself was interrupted; it comes back by itself.",
        ),
        _ => language.pick(
            "Камера жауап бермейді немесе сурет жібермейді: қуаты мен кабелін тексеріңіз.",
            "Камера не отвечает или не передаёт изображение: проверьте питание и кабель.",
            "The camera does not answer or sends nothing: check its power and cable.",
        ),
    }
}

fn more(all: usize, language: Language) -> Option<String> {
    let rest = all.checked_sub(NAMED).filter(|rest| *rest > 0)?;
    Some(format!("- {} {rest}", language.pick("және тағы", "и ещё", "and more:")))
}

/// A name in a line of its own: no control characters, not too long.
fn name(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(NAME).collect()
}

/// A time as its place and its reader write it, and how far it is from UTC. A zone that nobody knows is UTC.
fn clock(ms: u64, zone: &str, language: Language) -> String {
    let known = TimeZone::get(zone).ok().filter(|known| !known.is_unknown());
    let zone = known.as_ref().map_or("UTC", |_| zone);
    let at = Timestamp::from_millisecond(i64::try_from(ms).unwrap_or_default()).unwrap_or_default();
    let at = at.to_zoned(known.unwrap_or(TimeZone::UTC));
    let dots = "%d.%m.%Y %H:%M:%S";
    let shown = at.strftime(language.pick(dots, dots, "%Y-%m-%d %H:%M:%S"));
    if zone == "UTC" {
        format!("{shown} (UTC)")
    } else {
        format!("{shown} (UTC{}, {zone})", at.strftime("%:z"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::alert::{Named, NamedCamera};

    const ALL: [What; 8] = [
        What::CameraOut,
        What::CameraBack,
        What::CameraUnstable,
        What::CameraSteady,
        What::SiteOut,
        What::SiteBack,
        What::SiteUnstable,
        What::SiteSteady,
    ];

    fn notice(event: What, cameras: usize, title: &str) -> Notice {
        let camera = |number| NamedCamera {
            id: format!("c{number}"),
            name: title.to_owned(),
            url: format!("https://video.example.org/c{number}/"),
        };
        Notice {
            id: String::new(),
            event,
            tenant: Named { id: "t".to_owned(), name: "ACME".to_owned() },
            site: Named { id: "s".to_owned(), name: "Склад".to_owned() },
            time_zone: String::new(),
            cameras: (0..cameras).map(camera).collect(),
            still: Vec::new(),
            since_ms: 1_800_000_000_000,
            until_ms: None,
            reason: Reason::Site,
            at_ms: 0,
        }
    }

    #[test]
    fn every_language_has_its_own_words_for_everything() {
        for event in ALL {
            let notice = notice(event, 1, "Gate");
            let said = [Language::Kazakh, Language::Russian, Language::English]
                .map(|language| sentence(&notice, language));
            assert!(said[0] != said[1] && said[1] != said[2] && said[0] != said[2], "{said:?}");
            let named = said.iter().all(|said| said.contains("Gate") || said.contains("Склад"));
            assert!(named && !said.iter().any(|said| said.contains('{')), "{said:?}");
        }
    }

    #[test]
    fn a_name_cannot_write_lines_of_its_own() {
        let (subject, text) =
            mail(&notice(What::CameraOut, 1, "a\r\nBcc: x@y\u{0}{site}"), Language::Russian);
        assert_eq!(subject, "Нет изображения с камеры «aBcc: x@y{site}»");
        assert!(
            text.contains("проверьте питание и интернет") && text.contains("15.01.2027 08:00:00 (UTC)"),
            "{text}"
        );
    }

    #[test]
    fn a_site_of_a_hundred_cameras_is_a_short_mail() {
        let (_, text) = mail(&notice(What::SiteOut, 100, "Gate"), Language::Kazakh);
        assert!(text.lines().count() < 20 && text.contains("және тағы 88"), "{text}");
    }

    #[test]
    fn a_time_is_that_of_the_place_and_says_how_far_it_is_from_utc() {
        let said = |zone: &str, language| {
            let notice = Notice {
                time_zone: zone.to_owned(),
                until_ms: Some(1_811_000_000_000),
                ..notice(What::SiteBack, 1, "Gate")
            };
            let (_, text) = mail(&notice, language);
            let told =
                text.lines().filter_map(|line| line.split_once(": 2").map(|(_, time)| format!("2{time}")));
            told.collect::<Vec<String>>()
        };
        let began = "2027-01-15 13:00:00 (UTC+05:00, Asia/Almaty)";
        assert_eq!(said("Asia/Almaty", Language::English)[0], began);
        // Winter and summer.
        assert_eq!(
            said("Europe/Berlin", Language::English),
            [
                "2027-01-15 09:00:00 (UTC+01:00, Europe/Berlin)",
                "2027-05-22 17:33:20 (UTC+02:00, Europe/Berlin)"
            ]
        );
        let newfoundland = clock(1_800_000_000_000, "America/St_Johns", Language::Kazakh);
        assert_eq!(newfoundland, "15.01.2027 04:30:00 (UTC-03:30, America/St_Johns)");
        for nowhere in ["", "UTC", "Asia/Nowhere", "+05:00"] {
            assert_eq!(said(nowhere, Language::English)[0], "2027-01-15 08:00:00 (UTC)", "{nowhere:?}");
        }
    }
}
