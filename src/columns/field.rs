//! The fields of a record: those that are stored, and those that are derived from them.

use crate::error::{Error, Result};

/// A column of search results, which is also what filters test and what results are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // FIELDS says what each holds
pub enum Field {
    Key,
    ProgramName,
    ProgramHash,
    Schedule,
    IsLegal,
    Status,
    Details,
    ExecutionTimes,
    Runs,
    MinTime,
    MedianTime,
    MeanTime,
    StdTime,
    Speedup,
    Transformations,
    TransformationCount,
    Features,
    Environment,
    Hostname,
    Username,
    CreationDate,
    UpdateDate,
    SourceProject,
    SourceCode,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text of its own in every record.
    Text,
    /// Text that many records share.
    Name,
    /// True or false.
    Truth,
    /// A count.
    Count,
    /// Milliseconds, or a ratio of them.
    Number,
    /// Microseconds since 1970, UTC.
    Instant,
    /// Execution times in milliseconds.
    Times,
    /// Names of transformations.
    Kinds,
    /// Transformations with their arguments.
    Features,
}

impl Kind {
    /// What a field of this kind holds, for people.
    pub(super) fn held(self) -> &'static str {
        match self {
            Self::Text | Self::Name => "text",
            Self::Truth => "True or False",
            Self::Count | Self::Number => "numbers",
            Self::Instant => "dates",
            Self::Times => "lists of execution times",
            Self::Kinds => "lists of names of transformations",
            Self::Features => "lists of features",
        }
    }

    /// What one value of it is in Python, for people.
    pub(super) fn one(self) -> &'static str {
        match self {
            Self::Text | Self::Name | Self::Kinds => "str",
            Self::Truth => "bool",
            Self::Count | Self::Number => "int or float (not NaN)",
            Self::Instant => "datetime or str of ISO 8601",
            Self::Times | Self::Features => "nothing",
        }
    }
}

/// Every field in the order of columns, its name, and what it holds.
const FIELDS: [(Field, &str, Kind); 24] = [
    (Field::Key, "key", Kind::Text),
    (Field::ProgramName, "program_name", Kind::Name),
    (Field::ProgramHash, "program_hash", Kind::Name),
    (Field::Schedule, "schedule", Kind::Text),
    (Field::IsLegal, "is_legal", Kind::Truth),
    (Field::Status, "status", Kind::Name),
    (Field::Details, "details", Kind::Text),
    (Field::ExecutionTimes, "execution_times", Kind::Times),
    (Field::Runs, "n_runs", Kind::Count),
    (Field::MinTime, "min_time", Kind::Number),
    (Field::MedianTime, "median_time", Kind::Number),
    (Field::MeanTime, "mean_time", Kind::Number),
    (Field::StdTime, "std_time", Kind::Number),
    (Field::Speedup, "speedup", Kind::Number),
    (Field::Transformations, "transformations", Kind::Kinds),
    (Field::TransformationCount, "n_transformations", Kind::Count),
    (Field::Features, "features", Kind::Features),
    (Field::Environment, "environment", Kind::Name),
    (Field::Hostname, "hostname", Kind::Name),
    (Field::Username, "username", Kind::Name),
    (Field::CreationDate, "creation_date", Kind::Instant),
    (Field::UpdateDate, "update_date", Kind::Instant),
    (Field::SourceProject, "source_project", Kind::Name),
    (Field::SourceCode, "source_code", Kind::Name),
];

impl Field {
    /// The columns of a search that names none: all but those that are large, or dear to make.
    #[must_use]
    pub fn default_columns() -> Vec<Self> {
        let every = FIELDS.iter().map(|(field, ..)| *field);
        every.filter(|field| !matches!(field, Self::Features | Self::SourceCode)).collect()
    }

    /// The field with this name.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] that lists the fields.
    pub fn from_name(name: &str) -> Result<Self> {
        FIELDS.iter().find(|(_, known, _)| *known == name).map(|(field, ..)| *field).ok_or_else(|| {
            let known: Vec<_> = FIELDS.iter().map(|(_, name, _)| *name).collect();
            Error::InvalidArgument(format!("there is no field {name:?}; there are {}", known.join(", ")))
        })
    }

    /// The fields with these names, each at most once.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`], as [`Field::from_name`], or where a name is given twice.
    pub fn from_names(names: &[String]) -> Result<Vec<Self>> {
        let mut fields = Vec::with_capacity(names.len());
        for name in names {
            let field = Self::from_name(name)?;
            if fields.contains(&field) {
                return Err(Error::InvalidArgument(format!("the field {name:?} is given twice")));
            }
            fields.push(field);
        }
        Ok(fields)
    }

    /// The name of its column.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// What it holds.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.entry().2
    }

    fn entry(self) -> &'static (Self, &'static str, Kind) {
        &FIELDS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_stands_at_its_place() {
        for (index, (field, name, _)) in FIELDS.iter().enumerate() {
            assert_eq!(*field as usize, index, "{name}");
            assert_eq!(Field::from_name(name).expect("known"), *field);
        }
    }

    #[test]
    fn an_unknown_field_is_answered_with_those_that_exist() {
        let error = Field::from_name("minimum").expect_err("unknown").to_string();
        assert!(error.contains("\"minimum\"") && error.contains("min_time, median_time"), "{error}");
        let twice = ["key".to_owned(), "key".to_owned()];
        assert!(Field::from_names(&twice).is_err());
    }
}
