//! A measurement: which schedule of which program, and what came out.

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
}

impl Outcome {
    /// Checks that this can be a measurement.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidMeasurement`] where a legal schedule has no times, or a time is not finite or negative.
    pub fn validate(&self) -> Result<()> {
        let times = self.execution_times.as_deref().unwrap_or_default();
        if self.is_legal && times.is_empty() {
            let text = "execution_times must be provided (non-empty list) when is_legal is True.";
            return Err(Error::InvalidMeasurement(text.to_owned()));
        }
        // -0.0 is no negative time.
        match times.iter().position(|time| !time.is_finite() || *time < 0.0) {
            None => Ok(()),
            Some(index) => Err(Error::InvalidMeasurement(format!(
                "execution_times[{index}] is {}; a time is a finite number of milliseconds, 0 or more",
                times[index]
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(is_legal: bool, times: Option<&[f64]>) -> Outcome {
        Outcome { is_legal, execution_times: times.map(<[f64]>::to_vec) }
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
}
