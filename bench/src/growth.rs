//! What an execution costs with more recipes and a larger catalogue: it should not show.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use detect::content::Scanner;

use crate::content;
use crate::coverage;
use crate::interrupt;
use crate::jobs::Length;
use crate::kernel::{self, Statistics};
use crate::procfs;
use crate::progress;
use crate::scratch::Scratch;
use crate::sensor::{Picket, Sensor};
use crate::stats::Sample;
use crate::storm;

/// How many further ones are loaded, beside those that picket carries.
pub(crate) const SIZES: [u32; 4] = [1, 10, 100, 1000];

/// What is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Recipes,
    Entries,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Recipes => "recipes",
            Self::Entries => "catalogue entries",
        }
    }
}

/// Costs with so many further ones, round by round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Point {
    pub(crate) size: u32,
    /// Nanoseconds of eBPF programs for a process that is of no interest.
    pub(crate) kernel: Vec<f64>,
    /// CPU microseconds of picket for an execution that is detected.
    pub(crate) user: Vec<f64>,
    /// Bytes a second of looking a file through.
    pub(crate) scan: Option<f64>,
}

/// How costs grow with one kind.
#[derive(Debug, Clone)]
pub(crate) struct Growth {
    pub(crate) kind: Kind,
    pub(crate) points: Vec<Point>,
}

impl Growth {
    /// The cost with the most against that with the fewest, of the same round.
    pub(crate) fn ratio(&self, of: impl Fn(&Point) -> &Vec<f64>) -> Sample {
        let (Some(few), Some(many)) = (self.points.first(), self.points.last()) else {
            return Sample::default();
        };
        Sample::new(of(few).iter().zip(of(many)).map(|(few, many)| many / few).collect())
    }

    /// By how much the cost grows for each one that is added: the slope of the line that fits best.
    pub(crate) fn slope(&self, of: impl Fn(&Point) -> &Vec<f64>) -> f64 {
        let points = self.points.iter().flat_map(|point| {
            of(point).iter().map(|cost| (f64::from(point.size), *cost)).collect::<Vec<_>>()
        });
        slope(&points.collect::<Vec<_>>())
    }
}

/// Least squares.
#[expect(clippy::cast_precision_loss, reason = "a few dozen points")]
fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let mean = |sum: f64| sum / n;
    let x = mean(points.iter().map(|p| p.0).sum());
    let y = mean(points.iter().map(|p| p.1).sum());
    let rise: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let run: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    rise / run
}

/// Measures `rounds` rounds with each size of each kind. `candidates` servers are executed and
/// detected in each.
pub(crate) fn measure(
    binary: &Path,
    scratch: &Scratch,
    rounds: u32,
    length: Length,
    candidates: u32,
) -> Result<Vec<Growth>> {
    let _on = Statistics::on()?;
    [Kind::Recipes, Kind::Entries]
        .into_iter()
        .map(|kind| {
            let pickets = SIZES.map(|size| variant(binary, scratch, kind, size));
            let mut points = SIZES.map(|size| Point { size, ..Point::default() });
            for round in 0..rounds {
                progress(&format!("growth, {}: round {} of {rounds}", kind.name(), round + 1));
                for turn in 0..SIZES.len() {
                    let at = (round as usize + turn) % SIZES.len();
                    let picket = pickets[at].as_ref().map_err(|e| anyhow::anyhow!("{e:#}"))?;
                    let what = || format!("with {} further {}", SIZES[at], kind.name());
                    let sensor = picket.launch().with_context(what)?;
                    one(sensor, scratch, length, candidates, &mut points[at]).with_context(what)?;
                }
            }
            if kind == Kind::Entries {
                scans(&mut points)?;
            }
            Ok(Growth { kind, points: points.to_vec() })
        })
        .collect()
}

fn one(
    sensor: Sensor,
    scratch: &Scratch,
    length: Length,
    candidates: u32,
    point: &mut Point,
) -> Result<()> {
    interrupt::check()?;
    let pid = sensor.pid();
    storm::run(&scratch.benign, length.warm_up)?;
    let before = procfs::bpf(pid)?;
    storm::run(&scratch.benign, length.execs)?;
    let hooks = kernel::hooks(&before, &procfs::bpf(pid)?, length.execs);
    ensure!(!hooks.is_empty(), "the kernel counted no run of picket's programs");
    // The first ones find everything cold.
    storm::run(&scratch.server, candidates / 4)?;
    let before = procfs::at_rest(pid)?;
    storm::run(&scratch.server, candidates)?;
    let user = procfs::at_rest(pid)?.saturating_sub(before);
    let ended = sensor.finish()?;
    let exe = scratch.server.display().to_string();
    let lines = ended.lines.iter();
    let detected = lines.filter(|line| coverage::detected(&line.text, &exe).is_some()).count();
    let executed = candidates as usize + candidates as usize / 4;
    ensure!(detected == executed, "{detected} of {executed} servers were detected");
    point.kernel.push(hooks.iter().map(|(_, ns)| ns).sum());
    point.user.push(user.as_secs_f64() * 1e6 / f64::from(candidates));
    Ok(())
}

/// How fast a file is looked through with each catalogue.
fn scans(points: &mut [Point]) -> Result<()> {
    let (program, _) = content::largest_program()?;
    for point in points {
        let further = ("growth.yaml".to_owned(), entries(point.size));
        let scanner = Scanner::new(&content::catalogue(Some(further))?);
        let mut source = content::open(&program)?;
        scanner.scan(&mut source); // into the page cache
        let rates = (0..3).map(|_| {
            let begin = Instant::now();
            content::rate(scanner.scan(&mut source).bytes, begin)
        });
        point.scan = Some(Sample::new(rates.collect()).median());
    }
    Ok(())
}

/// picket with so many further recipes or catalogue entries, in picket's own formats.
fn variant(binary: &Path, scratch: &Scratch, kind: Kind, size: u32) -> Result<Picket> {
    let what = "cannot write recipes";
    let word = if kind == Kind::Recipes { "recipes" } else { "catalogue" };
    let dir: PathBuf = scratch.path(&format!("further-{word}-{size}"));
    fs::create_dir(&dir).context(what)?;
    match kind {
        Kind::Entries => fs::write(dir.join("growth.yaml"), entries(size)).context(what)?,
        Kind::Recipes => {
            let server = another_server()?;
            for number in 0..size {
                let name = format!("growth_{}.yaml", letters(number));
                fs::write(dir.join(name), recipe(number, &server)).context(what)?;
            }
        }
    }
    let config = scratch.path(&format!("further-{word}-{size}.yaml"));
    let text = format!("environment: production\n{word}: [\"{}\"]\n", dir.display());
    fs::write(&config, text).context(what)?;
    Ok(Picket::new(binary, &config, &[]))
}

/// A server of the catalogue that is not the one that is executed.
fn another_server() -> Result<String> {
    let catalogue = content::catalogue(None)?;
    let mut names = catalogue.servers.iter().map(detect::catalogue::Server::name);
    let other = names.find(|name| !["nginx", "picket-canary"].contains(name));
    Ok(other.context("the catalogue is empty")?.to_owned())
}

/// A recipe that matches something else.
fn recipe(number: u32, server: &str) -> String {
    let mut text = format!(
        "name: growth_{}\nversion: \"1.0\"\ndescription: Of another server\n\
         category: Command and Control\nmethod: Multi-Stage Channels\nimportance: high\n\
         attack: [T1104]\nevent: exec\nmatch:\n  server: [{server}]\nguidance:\n",
        letters(number)
    );
    for environment in ["ci", "staging", "production"] {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "  {environment}:\n    implication: \"{{title}} was started.\"\n    \
             actions: [\"Look at {{pid}}.\"]\n"
        );
    }
    text
}

/// A family of so many servers, each with a name and texts of its own.
fn entries(size: u32) -> String {
    let mut text = "family: growth\nabout: Servers that nobody runs.\nservers:\n".to_owned();
    for number in 0..size {
        let name = letters(number);
        let _ = write!(
            text,
            "  - name: growth-{name}\n    title: Growth {name}\n    role: web\n    \
             names: [growth{name}]\n    content:\n      literals:\n        \
             - \"growth of {name}: cannot bind to %s\"\n        \
             - \"{name} of growth: serving %d requests\"\n    samples:\n      \
             - {{run: [/usr/sbin/growth{name}], expect: serve}}\n"
        );
    }
    text
}

/// A number in letters: digits at the end of a name would count as its version.
fn letters(number: u32) -> String {
    let digits = format!("{number:04}");
    digits.bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_valid() {
        let further = ("growth.yaml".to_owned(), entries(1000));
        let catalogue = content::catalogue(Some(further)).unwrap();
        assert!(catalogue.plan().names.contains("growthajjj"));
        let server = another_server().unwrap();
        let recipes: Vec<_> = (0..1000).map(|n| (n.to_string(), recipe(n, &server))).collect();
        let borrowed = recipes.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        let (recipes, errors) = detect::recipe::parse_all(borrowed);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(recipes.len(), 1000);
        assert!(recipes.iter().all(|recipe| recipe.unknown_servers(&catalogue).is_empty()));
    }

    #[test]
    fn the_slope_of_a_line() {
        let line = [(1.0, 3.0), (10.0, 21.0), (100.0, 201.0)];
        assert!((slope(&line) - 2.0).abs() < 1e-9);
    }
}
