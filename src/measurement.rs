//! A measurement: which schedule of which program, and what came out.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// One measurement to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Name of the program.
    pub program_name: String,
    /// Its Tiramisu C++ generator.
    pub program_source_code: String,
    /// The schedule that was applied.
    pub schedule: String,
    /// What was found.
    pub outcome: Outcome,
}

/// What measuring a schedule found.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Does the schedule keep the program's meaning?
    pub is_legal: bool,
    /// Every run in order, in milliseconds.
    pub execution_times: Option<Vec<f64>>,
    /// What was said of it beyond these two; `None`: nothing, see [`Outcome::status`].
    pub said: Option<Status>,
    /// What else is known: `bound` of a timeout in seconds, `message` of a failure, and anything.
    pub details: Option<Map<String, Value>>,
}

/// What became of measuring a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It ran: there are times.
    Measured,
    /// It does not keep the program's meaning.
    Illegal,
    /// It is legal, and was never timed.
    Unmeasured,
    /// It is legal, and ran for longer than a bound.
    Timeout,
    /// It is legal, and could not be compiled or run.
    Failed,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Measured, Self::Illegal, Self::Unmeasured, Self::Timeout, Self::Failed];

    /// Its name in the file and in Python.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Illegal => "illegal",
            Self::Unmeasured => "unmeasured",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
        }
    }

    /// The status called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// The status of rows that say none.
    #[must_use]
    pub fn derived(is_legal: bool, has_times: bool) -> Self {
        match (is_legal, has_times) {
            (false, _) => Self::Illegal,
            (true, true) => Self::Measured,
            (true, false) => Self::Unmeasured,
        }
    }

    /// Why this cannot be the status of such a measurement.
    pub(crate) fn contradiction(self, is_legal: bool, has_times: bool) -> Option<&'static str> {
        match (self, is_legal, has_times) {
            (Self::Illegal, true, _) => Some("is_legal is True"),
            (Self::Illegal, false, _) | (Self::Measured, true, true) => None,
            (_, false, _) => Some("is_legal is False"),
            (Self::Measured, true, false) => Some("it has no execution_times"),
            (_, true, true) => Some("it has execution_times"),
            (_, true, false) => None,
        }
    }
}

impl Outcome {
    /// What the original knows of a measurement.
    #[must_use]
    pub fn of(is_legal: bool, execution_times: Option<Vec<f64>>) -> Self {
        Self { is_legal, execution_times, said: None, details: None }
    }

    fn has_times(&self) -> bool {
        self.execution_times.as_ref().is_some_and(|times| !times.is_empty())
    }

    /// The status that follows from legality and times.
    #[must_use]
    pub fn derived(&self) -> Status {
        Status::derived(self.is_legal, self.has_times())
    }

    /// What became of it: what was said, or what follows.
    #[must_use]
    pub fn status(&self) -> Status {
        self.said.unwrap_or_else(|| self.derived())
    }

    /// Checks that this can be a measurement.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidMeasurement`] where a legal schedule has no times and no status that says why, where the status
    /// contradicts the rest or lacks its details, or a time is not finite or negative.
    pub fn validate(&self) -> Result<()> {
        let invalid = |text: String| Err(Error::InvalidMeasurement(text));
        match self.said {
            None if self.derived() == Status::Unmeasured => {
                return invalid(
                    "execution_times must be provided (non-empty list) when is_legal is True.".to_owned(),
                );
            }
            None => {}
            Some(said) => {
                let name = said.name();
                if let Some(why) = said.contradiction(self.is_legal, self.has_times()) {
                    return invalid(format!("status is {name:?}, but {why}"));
                }
                if let Some(lacking) = self.lacking_detail(said) {
                    return invalid(format!("status {name:?} needs {lacking}"));
                }
            }
        }
        let times = self.execution_times.as_deref().unwrap_or_default();
        // -0.0 is no negative time.
        match times.iter().position(|time| !time.is_finite() || *time < 0.0) {
            None => Ok(()),
            Some(index) => invalid(format!(
                "execution_times[{index}] is {}; a time is a finite number of milliseconds, 0 or more",
                times[index]
            )),
        }
    }

    /// The detail without which `status` tells nothing: a timeout without its bound is no lower bound of a time.
    fn lacking_detail(&self, status: Status) -> Option<&'static str> {
        let detail = |name: &str| self.details.as_ref().and_then(|details| details.get(name));
        let (is_there, lacking) = match status {
            Status::Timeout => (
                detail("bound").and_then(Value::as_f64).is_some_and(|bound| bound > 0.0),
                "details={\"bound\": seconds}, a positive number",
            ),
            Status::Failed => {
                (detail("message").is_some_and(Value::is_string), "details={\"message\": text}")
            }
            Status::Measured | Status::Illegal | Status::Unmeasured => (true, ""),
        };
        (!is_there).then_some(lacking)
    }
}

/// What recording does where there is a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExists {
    /// Nothing: the record stays.
    Keep,
    /// The new one takes its place; the old one goes into the history.
    Overwrite,
    /// The record stays, and the new one goes into the history beside it.
    Append,
}

impl IfExists {
    /// Its name in posts and in Python.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Overwrite => "overwrite",
            Self::Append => "append",
        }
    }

    /// What is called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Keep, Self::Overwrite, Self::Append].into_iter().find(|choice| choice.name() == name)
    }
}

/// The original's `overwrite`.
impl From<bool> for IfExists {
    fn from(overwrite: bool) -> Self {
        if overwrite { Self::Overwrite } else { Self::Keep }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn outcome(is_legal: bool, times: Option<&[f64]>) -> Outcome {
        Outcome::of(is_legal, times.map(<[f64]>::to_vec))
    }

    #[test]
    fn what_the_original_accepts_stays_accepted() {
        for accepted in [
            outcome(true, Some(&[0.1, 0.0, -0.0])),
            outcome(false, None),
            outcome(false, Some(&[])),
            outcome(false, Some(&[1.0])),
        ] {
            accepted.validate().expect("accepted");
        }
    }

    #[test]
    fn times_that_cannot_be_are_refused_by_their_position() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            let error = outcome(false, Some(&[1.0, bad])).validate().expect_err("refused");
            assert!(error.to_string().starts_with("execution_times[1] is "), "{error}");
        }
        assert!(outcome(true, None).validate().is_err());
        assert!(outcome(true, Some(&[])).validate().is_err());
    }

    #[test]
    fn each_status_goes_with_what_it_says_and_with_nothing_else() {
        let details = json!({"bound": 60, "message": "it crashed"}).as_object().cloned();
        for said in Status::ALL {
            for is_legal in [true, false] {
                for times in [None, Some(&[1.0][..])] {
                    let outcome =
                        Outcome { said: Some(said), details: details.clone(), ..outcome(is_legal, times) };
                    let goes = match said {
                        Status::Measured => is_legal && times.is_some(),
                        Status::Illegal => !is_legal,
                        Status::Unmeasured | Status::Timeout | Status::Failed => is_legal && times.is_none(),
                    };
                    assert_eq!(outcome.validate().is_ok(), goes, "{outcome:?}");
                    assert_eq!(outcome.status(), said);
                }
            }
        }
    }

    #[test]
    fn a_timeout_has_its_bound_and_a_failure_its_message() {
        for (said, details) in [
            (Status::Timeout, json!({})),
            (Status::Timeout, json!({"bound": "60"})),
            (Status::Timeout, json!({"bound": 0})),
            (Status::Failed, json!({"bound": 60})),
            (Status::Failed, json!({"message": null})),
        ] {
            let outcome =
                Outcome { said: Some(said), details: details.as_object().cloned(), ..outcome(true, None) };
            let error = outcome.validate().expect_err("refused");
            assert!(error.to_string().contains("needs details="), "{error}");
        }
    }
}
