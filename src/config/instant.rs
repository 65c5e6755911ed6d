//! Instants: `"2026-04-11T19:00:00+07:00"`, RFC 3339 §5.6, as a string or as TOML's own date-time.
//!
//! **Invariants**: an instant names its offset from UTC, so that it means the same on every machine; a date that the calendar
//! does not have is refused; from 1970 on.
//! **Not here**: which instants fit together (`build`).

use std::time::Duration;

use toml::de::DeValue;
use toml::value::{Date, Datetime, Offset, Time};

use super::plan::Instant;
use super::reader::{Complaint, Parsed};

/// What is said to whoever wrote a time without its offset.
const OFFSET: &str = "add the offset from UTC: +07:00 (WIB), +08:00 (WITA), +09:00 (WIT) or Z";

const WANTED: &str = "an instant such as \"2026-04-11T19:00:00+07:00\"";

const SECONDS_A_MINUTE: i64 = 60;
const SECONDS_AN_HOUR: i64 = 60 * SECONDS_A_MINUTE;
const SECONDS_A_DAY: i64 = 24 * SECONDS_AN_HOUR;

/// Time since 1970-01-01T00:00:00Z of an instant. A leap second is the first of the next minute, as in Unix time.
pub(super) fn instant(value: &DeValue<'_>) -> Parsed<Instant> {
    let read = match value {
        DeValue::String(text) => text.parse::<Datetime>().map_err(|why| Some(why.to_string())),
        DeValue::Datetime(written) => Ok(*written),
        _ => Err(None),
    };
    match read {
        Ok(Datetime { date: Some(date), time: Some(time), offset: Some(offset) }) => {
            unix(date, time, offset).ok_or_else(|| Complaint::value(WANTED, value).hint("before 1970"))
        }
        Ok(Datetime { date: Some(_), time: Some(_), offset: None }) => {
            Err(Complaint::value(WANTED, value).hint(OFFSET))
        }
        Ok(Datetime { time: None, .. }) => {
            Err(Complaint::value(WANTED, value).hint("add the time of day and its offset"))
        }
        Ok(Datetime { date: None, .. }) => {
            Err(Complaint::value(WANTED, value).hint("add the date and the offset from UTC"))
        }
        Err(Some(why)) => Err(Complaint::value(WANTED, value).hint(why.replace('\n', "; "))),
        Err(None) => Err(Complaint::value(WANTED, value)),
    }
}

/// [`None`] before 1970.
fn unix(date: Date, time: Time, offset: Offset) -> Option<Instant> {
    let offset_minutes = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => minutes,
    };
    let east = i64::from(offset_minutes) * SECONDS_A_MINUTE;
    let seconds = i64::from(time.hour) * SECONDS_AN_HOUR
        + i64::from(time.minute) * SECONDS_A_MINUTE
        + i64::from(time.second.unwrap_or(0));
    let seconds = days_from_civil(date) * SECONDS_A_DAY + seconds - east;
    let unix = Duration::new(u64::try_from(seconds).ok()?, time.nanosecond.unwrap_or(0));
    Some(Instant { unix, offset_minutes })
}

/// Days from 1970-01-01 to `date` of the Gregorian calendar. Howard Hinnant, "chrono-compatible low-level date algorithms",
/// `days_from_civil`: <https://howardhinnant.github.io/date_algorithms.html#days_from_civil>.
fn days_from_civil(date: Date) -> i64 {
    // Years begin on 1 March here, so that the leap day is the last of its year; an era is 400 years, 146,097 days.
    let (month, day) = (i64::from(date.month), i64::from(date.day));
    let year = i64::from(date.year) - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    /// What is read of `written`, a TOML value, or all that is said about it.
    fn read(written: &str) -> Result<Duration, String> {
        let text = format!("opens = {written}");
        let (table, mistakes) = DeTable::parse_recoverable(&text);
        if let Some(mistake) = mistakes.first() {
            return Err(format!("TOML: {}", mistake.message()));
        }
        instant(table.get_ref().get("opens").unwrap().get_ref())
            .map(|instant| instant.unix)
            .map_err(|complaint| format!("{complaint:?}"))
    }

    #[test]
    fn known_instants() {
        // From `date -d TEXT +%s`.
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T07:00:00+07:00", 0),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("2024-02-29T23:59:59-00:00", 1_709_251_199),
            ("2026-04-11T19:00:00+07:00", 1_775_908_800),
            ("2026-04-11T12:00:00Z", 1_775_908_800),
            ("2026-04-11 05:30:00-06:30", 1_775_908_800),
            ("2026-04-12T01:45:00+13:45", 1_775_908_800),
            ("2027-01-01T00:00:00+09:00", 1_798_729_200),
            ("2016-12-31T23:59:60Z", 1_483_228_800),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(read(&format!("\"{text}\"")), Ok(Duration::from_secs(seconds)), "{text}");
            assert_eq!(read(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(read("\"2026-04-11T12:00:00.25Z\""), Ok(Duration::from_millis(1_775_908_800_250)));
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut days = 0;
        for year in 1970..2401 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for (month, length) in (1..).zip([31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
                for day in 1..=length {
                    assert_eq!(days_from_civil(Date { year, month, day }), days, "{year}-{month}-{day}");
                    days += 1;
                }
            }
        }
    }

    #[test]
    fn dates_that_are_none_are_refused() {
        for text in [
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-04-11T24:00:00Z",
            "2026-04-11T19:60:00Z",
            "2026-04-11T19:00:61Z",
            "2026-04-11T19:00:00+24:00",
            "2026-04-11T19:00:00+0700",
            "2026-04-11T19:00:00 WIB",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
        ] {
            assert!(read(text).is_err(), "{text}");
            assert!(read(&format!("\"{text}\"")).is_err(), "\"{text}\"");
        }
        for text in ["", "now", "19:00", "1775908800", "26-04-11T19:00:00Z"] {
            assert!(read(&format!("\"{text}\"")).is_err(), "\"{text}\"");
        }
        for value in ["1775908800", "true", "[]"] {
            assert!(read(value).unwrap_err().contains("2026-04-11T19:00:00+07:00"), "{value}");
        }
    }

    #[test]
    fn what_is_missing_is_told() {
        for (text, hint) in [
            ("2026-04-11T19:00:00", "+07:00 (WIB)"),
            ("2026-04-11 19:00:00", "+07:00 (WIB)"),
            ("2026-04-11", "add the time of day"),
            ("19:00:00", "add the date"),
            ("1969-12-31T23:59:59Z", "before 1970"),
        ] {
            for written in [text.to_owned(), format!("\"{text}\"")] {
                let said = read(&written).unwrap_err();
                assert!(said.contains(hint), "{written}: {said}");
            }
        }
    }
}
