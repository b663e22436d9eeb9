//! Prints a schedule in the spelling it was parsed from, without whitespace.

use std::fmt::{self, Display, Formatter};

use super::ast::{Schedule, Transformation};

impl Display for Schedule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_joined(f, "|", &self.transformations)
    }
}

impl Display for Transformation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name())?;
        for level in self.levels() {
            write!(f, "{level},")?;
        }
        match self {
            Self::Skew { factors, .. } => write_each(f, factors)?,
            Self::Tile { factors, .. } | Self::GeneralTile { factors, .. } => write_each(f, factors)?,
            Self::Unroll { factor, .. } => write!(f, "{factor},")?,
            Self::Shift { offset, .. } => write!(f, "{offset},")?,
            Self::Matrix { entries, .. } => {
                f.write_str("[")?;
                write_joined(f, ",", entries)?;
                f.write_str("],")?;
            }
            Self::Interchange { .. }
            | Self::Reversal { .. }
            | Self::Parallelize { .. }
            | Self::Fuse { .. }
            | Self::Distribute { .. }
            | Self::Expand { .. } => {}
        }
        f.write_str("comps=[")?;
        write_joined(f, ",", self.comps())?;
        f.write_str("]")?;
        if let Self::Distribute { groups, .. } = self {
            f.write_str(",distribution=[")?;
            for (index, group) in groups.iter().enumerate() {
                f.write_str(if index == 0 { "[" } else { ",[" })?;
                write_joined(f, ",", group)?;
                f.write_str("]")?;
            }
            f.write_str("]")?;
        }
        f.write_str(")")
    }
}

fn write_each(f: &mut Formatter<'_>, items: &[impl Display]) -> fmt::Result {
    items.iter().try_for_each(|item| write!(f, "{item},"))
}

fn write_joined(f: &mut Formatter<'_>, separator: &str, items: &[impl Display]) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}
