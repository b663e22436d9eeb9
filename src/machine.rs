//! What a record says of the machine it was measured on: CPU model, CPUs of the Slurm task, host and user.

use std::env;

/// CPU model as the kernel names it, e.g. `Intel(R) Xeon(R) Gold 6248 CPU @ 2.50GHz`, or `unknown`.
///
/// Taken from CPUID where there is one (microseconds), else from `/proc/cpuinfo`.
#[must_use]
pub fn cpu_model() -> String {
    brand_string().or_else(proc_cpuinfo).unwrap_or_else(|| "unknown".to_owned())
}

/// A CPU model with NUL bytes removed and runs of blanks made one: the form in which two models are compared,
/// because CPUID pads the name and different readers trim it differently.
#[must_use]
pub fn comparable_cpu_model(model: &str) -> String {
    model.replace('\0', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `SLURM_CPUS_PER_TASK`, or `N/A` outside Slurm or where the job does not set it.
#[must_use]
pub fn slurm_cpus() -> String {
    env::var("SLURM_CPUS_PER_TASK").ok().filter(|cpus| !cpus.is_empty()).unwrap_or_else(|| "N/A".to_owned())
}

/// CPUs that this process may use: those of its affinity and control group, and no more than its Slurm task has.
#[must_use]
pub fn cores() -> usize {
    let here = std::thread::available_parallelism().map_or(1, usize::from);
    slurm_cpus().parse().map_or(here, |allotted: usize| here.min(allotted.max(1)))
}

/// Threads that OpenMP is told to use, as `OMP_NUM_THREADS` has it.
#[must_use]
pub fn threads() -> Option<String> {
    env::var("OMP_NUM_THREADS").ok().filter(|threads| !threads.is_empty())
}

/// Release of the kernel.
#[must_use]
pub fn kernel() -> Option<String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    Some(release.trim().to_owned()).filter(|release| !release.is_empty())
}

/// Name of this host.
#[must_use]
pub fn hostname() -> String {
    if let Some(pretended) = crate::mutation::hostname() {
        return pretended;
    }
    nix::unistd::gethostname()
        .map_or_else(|_| "unknown".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Name of the user, looked for where Python's `getpass.getuser` looks: the environment, then the user database.
#[must_use]
pub fn username() -> String {
    ["LOGNAME", "USER", "LNAME", "USERNAME"]
        .iter()
        .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
        .or_else(|| {
            let uid = nix::unistd::getuid();
            nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name)
        })
        .unwrap_or_else(|| nix::unistd::getuid().to_string())
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn brand_string() -> Option<String> {
    let brand = raw_cpuid::CpuId::new().get_processor_brand_string()?;
    let model = comparable_cpu_model(brand.as_str());
    (!model.is_empty()).then_some(model)
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
fn brand_string() -> Option<String> {
    None
}

fn proc_cpuinfo() -> Option<String> {
    model_in_cpuinfo(&std::fs::read_to_string("/proc/cpuinfo").ok()?)
}

/// x86 and ARM servers say `model name`, POWER says `cpu`, some ARM boards only `Hardware`.
fn model_in_cpuinfo(text: &str) -> Option<String> {
    ["model name", "cpu", "Hardware"].iter().find_map(|wanted| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.trim() == *wanted)
            .map(|(_, value)| comparable_cpu_model(value))
            .filter(|model| !model.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_that_differ_only_in_padding_compare_equal() {
        let padded = "  Intel(R) Xeon(R)   CPU @ 2.00GHz\0\0\0";
        assert_eq!(comparable_cpu_model(padded), "Intel(R) Xeon(R) CPU @ 2.00GHz");
    }

    #[test]
    fn the_model_is_found_in_the_cpuinfo_of_several_architectures() {
        assert_eq!(
            model_in_cpuinfo("processor\t: 0\nmodel name\t: AMD EPYC 7742\n").as_deref(),
            Some("AMD EPYC 7742")
        );
        assert_eq!(
            model_in_cpuinfo("processor\t: 0\ncpu\t\t: POWER9, altivec supported\n").as_deref(),
            Some("POWER9, altivec supported")
        );
        assert_eq!(model_in_cpuinfo("processor\t: 0\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn cpuid_and_the_kernel_name_the_same_model() {
        if let (Some(from_cpuid), Some(from_kernel)) = (brand_string(), proc_cpuinfo()) {
            assert_eq!(from_cpuid, from_kernel);
        }
    }
}
