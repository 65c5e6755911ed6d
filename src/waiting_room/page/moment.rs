//! A moment of the calendar, as the operator wrote it: with its distance from UTC, since the server cannot know the reader's.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::telemetry::civil_from_days;

const MINUTES_A_DAY: u64 = 24 * 60;

/// A moment and the zone in which people shall read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since 1970, UTC.
    pub unix: Duration,
    /// East of UTC, in minutes: 420 for Jakarta. RFC 3339 allows ±1439.
    pub offset_minutes: i16,
}

/// A moment as a calendar and a clock on the wall show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: u64,
    /// 1 to 12.
    pub(super) month: u64,
    /// 1 to 31.
    pub(super) day: u64,
    /// 0 is Sunday.
    pub(super) weekday: u64,
    pub(super) hour: u64,
    pub(super) minute: u64,
}

impl Moment {
    /// As on the wall there. What would lie before 1970 shows as its beginning.
    pub(super) fn civil(self) -> Civil {
        let minutes = (self.unix.as_secs() / 60).saturating_add_signed(i64::from(self.offset_minutes));
        let (days, minute) = (minutes / MINUTES_A_DAY, minutes % MINUTES_A_DAY);
        let (year, month, day) = civil_from_days(days);
        // 1970-01-01 was a Thursday.
        Civil { year, month, day, weekday: (days + 4) % 7, hour: minute / 60, minute: minute % 60 }
    }

    /// The zone: by its name in Indonesia where it has one, and always by its distance.
    pub(super) fn zone(self) -> String {
        let (sign, distance) = (if self.offset_minutes < 0 { '−' } else { '+' }, self.offset_minutes.unsigned_abs());
        let utc = match (distance / 60, distance % 60) {
            (0, 0) => return "UTC".to_owned(),
            (hours, 0) => format!("UTC{sign}{hours}"),
            (hours, minutes) => format!("UTC{sign}{hours}:{minutes:02}"),
        };
        match self.offset_minutes {
            420 => format!("WIB ({utc})"),
            480 => format!("WITA ({utc})"),
            540 => format!("WIT ({utc})"),
            _ => utc,
        }
    }
}

impl Display for Moment {
    /// RFC 3339 §5.6, to the minute's second: `2026-04-11T19:00:00+07:00`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Civil { year, month, day, hour, minute, .. } = self.civil();
        let (sign, distance) = (if self.offset_minutes < 0 { '-' } else { '+' }, self.offset_minutes.unsigned_abs());
        let second = self.unix.as_secs() % 60;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        write!(f, "{sign}{:02}:{:02}", distance / 60, distance % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_where_it_was_written() {
        // From `TZ=… date -d @1775908800 +%FT%T%:z`.
        for (offset_minutes, rfc3339, zone, weekday) in [
            (0, "2026-04-11T12:00:00+00:00", "UTC", 6),
            (420, "2026-04-11T19:00:00+07:00", "WIB (UTC+7)", 6),
            (480, "2026-04-11T20:00:00+08:00", "WITA (UTC+8)", 6),
            (540, "2026-04-11T21:00:00+09:00", "WIT (UTC+9)", 6),
            (345, "2026-04-11T17:45:00+05:45", "UTC+5:45", 6),
            (-210, "2026-04-11T08:30:00-03:30", "UTC−3:30", 6),
            (840, "2026-04-12T02:00:00+14:00", "UTC+14", 0),
        ] {
            let moment = Moment { unix: Duration::from_hours(493_308), offset_minutes };
            assert_eq!((moment.to_string().as_str(), moment.zone().as_str()), (rfc3339, zone));
            assert_eq!(moment.civil().weekday, weekday);
        }
        assert_eq!(Moment { unix: Duration::ZERO, offset_minutes: -60 }.civil().year, 1970);
    }
}
