//! A year of a thousand cameras in SQLite. Fifty cameras of 365 days are written and measured, and taken twenty times: every
//! row belongs to one camera.

use cloud_stub::status::sample::{Day, Hour, STEP_MS, Sample};
use cloud_stub::status::{Batch, Reason, Span};
use model::CameraId;
use sqlx::Row as _;
use sqlx::any::AnyPoolOptions;

use crate::stage::{Stage, ZERO};

const CAMERAS: usize = 50;
const DAYS: u64 = 365;
const OUTAGES_A_DAY: u64 = 6;
const OF_A_THOUSAND: u64 = 20;
/// What a thousand may take, bytes.
const MOST: u64 = 2 << 30;
const HOUR_MS: u64 = 3_600_000;

#[tokio::test]
async fn a_year_of_a_thousand_cameras_fits_two_gigabytes() {
    let stage = Stage::new(1, &["gate"]).await;
    let empty = size(&stage).await;
    let mut hour = Hour::default();
    for slot in 0..120 {
        let sample = Sample {
            ping_ms: Some(2 + slot as u16 % 7),
            latency_ms: Some(90),
            fps: 25.0,
            bit_rate: 4_000_000 + slot * 9_000,
            keyframe_age_ms: Some(slot * 10),
        };
        hour.put(slot * STEP_MS, sample);
    }
    let mut day = Day::default();
    (0..24).for_each(|of_day| day.put(of_day, hour.sum()));
    let pool = AnyPoolOptions::new().max_connections(1).connect(&stage.database()).await.unwrap();
    for camera in 0..CAMERAS {
        let id = CameraId::new(&enrol::name128([camera as u8; 16])).unwrap();
        // The last two days, as they are written.
        let hours = (0..48).map(|ago| (id.clone(), ZERO / HOUR_MS - ago, hour.clone(), false)).collect();
        let spans = (0..DAYS * OUTAGES_A_DAY).map(|number| {
            let from = ZERO - number * 24 * HOUR_MS / OUTAGES_A_DAY;
            let span = Span { from_ms: from, to_ms: Some(from + 90_000), reason: Reason::Camera };
            (id.clone(), from, Some(span))
        });
        let known = vec![(id.clone(), 1)];
        let batch = Batch { known, spans: spans.collect(), hours, ..Batch::default() };
        for part in batch.parts() {
            stage.store.write_status(&part).await.unwrap();
        }
        let mut tx = pool.begin().await.unwrap();
        for ago in 0..DAYS {
            sqlx::query("INSERT INTO sample_day (public_id, day, hours) VALUES ($1, $2, $3)")
                .bind(id.as_str())
                .bind((ZERO / HOUR_MS / 24 - ago) as i64)
                .bind(day.pack())
                .execute(&mut *tx)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
    }
    pool.close().await;
    let year = size(&stage).await - empty;
    println!(
        "{CAMERAS} cameras, {DAYS} days, {OUTAGES_A_DAY} outages a day, 48 h in half minutes: {year} bytes; \
         1000 cameras: {} MiB (aim: 2048)",
        (year * OF_A_THOUSAND) >> 20
    );
    assert!(year > 1_000_000, "something was written");
    assert!(year * OF_A_THOUSAND < MOST, "{year}");
}

/// Bytes of the database as SQLite counts them.
async fn size(stage: &Stage) -> u64 {
    let pool = AnyPoolOptions::new().max_connections(1).connect(&stage.database()).await.unwrap();
    let mut bytes = 1;
    for pragma in ["PRAGMA page_count", "PRAGMA page_size"] {
        let row = sqlx::query(pragma).fetch_one(&pool).await.unwrap();
        bytes *= row.get::<i64, _>(0) as u64;
    }
    pool.close().await;
    bytes
}
