//! One fault after the other under load, each judged by itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rand::rngs::StdRng;

use super::{Cluster, Servers, Shape, steady::steady};
use crate::{
    load::{Crowd, Load, Unanswered},
    seed,
};

const CALLERS: usize = 8;
const READERS: usize = 4;
/// How long each caller rests between two calls: it is about what breaks, not about how much a small machine can do.
const PAUSE: Duration = Duration::from_millis(150);
/// The load for each core above which nothing is said about seconds; a hall of six processes makes less than half of it.
const BUSY: f64 = 4.0;
/// How much a load has done before something breaks under it.
const WARM: usize = 30;
const WARM_PATIENCE: Duration = Duration::from_secs(30);

/// Breaks halls of one shape.
pub(crate) struct Campaign {
    name: &'static str,
    /// Which guard is taken away.
    without: Option<&'static str>,
    shape: Shape,
    servers: Arc<Servers>,
    hall: Option<(Cluster, Crowd)>,
    wrong: Vec<String>,
    part: u64,
    /// What the name of a fault has to hold, where only some are wanted.
    only: Option<String>,
}

/// What a fault has in its hands.
pub(crate) struct Ground<'c> {
    /// The hall.
    pub(crate) cluster: &'c mut Cluster,
    /// Who knows it.
    pub(crate) crowd: &'c Crowd,
    /// Randomness of this fault.
    pub(crate) random: StdRng,
    /// What is worth telling.
    pub(crate) notes: Vec<String>,
    /// What went wrong.
    pub(crate) wrong: Vec<String>,
}

impl Campaign {
    /// Nothing is started yet.
    pub(crate) fn new(name: &'static str, shape: Shape, servers: Arc<Servers>) -> Self {
        Self {
            name,
            without: None,
            shape,
            servers,
            hall: None,
            wrong: Vec::new(),
            part: 0,
            only: std::env::var("GUILDHALL_PROVE_FAULT").ok(),
        }
    }

    /// The same with one guard taken away, which is to be found out.
    pub(crate) fn without(fault: &'static str, shape: Shape, servers: Arc<Servers>) -> Self {
        Self {
            without: Some(fault),
            ..Self::new(fault, shape, servers)
        }
    }

    /// Lets a fault happen under load. It returns when what it broke was there again; then the hall has to become steady, and everything
    /// that was acknowledged has to be there.
    pub(crate) async fn suffer(
        &mut self,
        what: &str,
        fault: impl AsyncFnOnce(&mut Ground<'_>) -> anyhow::Result<Instant>,
    ) {
        self.part += 100;
        if self.only.as_ref().is_some_and(|only| !what.contains(only)) {
            return;
        }
        let began = Instant::now();
        let told = match self.tried(what, fault).await {
            Ok((told, wrong)) if wrong.is_empty() => told,
            Ok((told, wrong)) => {
                self.failed(what, wrong).await;
                format!("{told}, WRONG")
            }
            Err(error) => {
                self.failed(what, vec![format!("{error:#}")]).await;
                "WRONG".to_owned()
            }
        };
        println!(
            "{}: {what}: {told} [{:.1} s]",
            self.name,
            began.elapsed().as_secs_f32()
        );
    }

    /// Says that a fault was left out, and why.
    pub(crate) fn skip(&self, what: &str, why: &str) {
        println!("SKIPPED {}: {what}: {why}", self.name);
    }

    /// Ends the hall.
    ///
    /// # Panics
    /// Where something was wrong.
    pub(crate) async fn end(mut self) {
        if let Some((cluster, _)) = self.hall.take()
            && let Err(error) = cluster.stop().await
        {
            self.wrong.push(format!("the end: {error:#}"));
        }
        assert!(self.wrong.is_empty(), "{}: {:#?}", self.name, self.wrong);
    }

    /// Ends a hall without one of its guards.
    ///
    /// # Panics
    /// Where nothing was found to be wrong that begins like this.
    pub(crate) async fn found_out(mut self, begins: &str) {
        let hall = self.hall.take();
        drop(hall);
        let is_found = |wrong: &&String| wrong.contains(&format!(": {begins}"));
        let found = self.wrong.iter().find(is_found);
        let found =
            found.unwrap_or_else(|| panic!("{} was not found out: {:?}", self.name, self.wrong));
        println!("{}: found out by {found}", self.name);
    }

    async fn tried(
        &mut self,
        what: &str,
        fault: impl AsyncFnOnce(&mut Ground<'_>) -> anyhow::Result<Instant>,
    ) -> anyhow::Result<(String, Vec<String>)> {
        if self.hall.is_none() {
            let cluster = Cluster::start(self.without, &self.shape, &self.servers).await?;
            let crowd = Crowd::register(&cluster.doors, CALLERS, READERS).await?;
            self.hall = Some((cluster, crowd));
        }
        let (cluster, crowd) = self.hall.as_mut().expect("it was made above");
        let load = crowd.load(what, Unanswered::Open, PAUSE, self.part).await?;
        warm(&load).await?;

        let broke = Instant::now();
        let _before = cluster.doors.failures();
        let mut ground = Ground {
            cluster,
            crowd,
            random: seed::random(self.part + 99),
            notes: Vec::new(),
            wrong: Vec::new(),
        };
        let healed = fault(&mut ground).await?;
        let Ground {
            cluster,
            notes,
            mut wrong,
            ..
        } = ground;
        let steady = match steady(cluster, crowd, &load, healed).await {
            Ok(after) => format!("steady after {:.1} s", after.as_secs_f32()),
            Err(late) => match busy() {
                None => {
                    wrong.push(format!("steady {late}"));
                    "not steady in time".to_owned()
                }
                Some(busy) => format!("steady {late} ({busy})"),
            },
        };
        wrong.extend(cluster.watch.not_alive(broke));
        let verdict = load.end().await?;
        wrong.extend(verdict.wrong);
        let notes: String = notes.iter().map(|note| format!("; {note}")).collect();
        Ok((
            format!("{} acknowledged, {steady}{notes}", verdict.acknowledged),
            wrong,
        ))
    }

    /// Keeps what is wrong, and begins with a new hall.
    async fn failed(&mut self, what: &str, wrong: Vec<String>) {
        let is_wanted = self.without.is_none();
        let logs = self
            .hall
            .take()
            .map(|(mut cluster, _)| is_wanted.then(|| cluster.keep_logs()));
        for wrong in wrong.into_iter().take(20) {
            if is_wanted {
                println!("WRONG {}: {what}: {wrong}", self.name);
            }
            self.wrong.push(format!("{what}: {wrong}"));
        }
        self.wrong.extend(logs.flatten());
        if let Err(error) = self.servers.heal().await {
            self.wrong
                .push(format!("the servers do not come back: {error:#}"));
        }
    }
}

impl Ground<'_> {
    /// Takes every retry-safe call that failed since then for wrong.
    pub(crate) fn none_failed(&mut self) {
        let failed = self.cluster.doors.failures();
        if let Some(first) = failed.first() {
            self.wrong.push(format!(
                "{} retry-safe calls failed, the first: {first}",
                failed.len()
            ));
        }
    }

    /// Wants these processes to have said since then that they are not ready.
    pub(crate) fn not_ready(&mut self, names: &[String], since: Instant) {
        for name in names {
            match self.cluster.watch.refusal(name, since) {
                Some(told) => self.notes.push(format!("{name} not ready {told}")),
                None => self
                    .wrong
                    .push(format!("{name} said all the time that it is ready")),
            }
        }
    }

    /// Takes something for wrong that came too late.
    pub(crate) fn late(&mut self, what: String) {
        match busy() {
            None => self.wrong.push(what),
            Some(busy) => self.notes.push(format!("{what} ({busy})")),
        }
    }

    /// Waits while things are broken.
    pub(crate) async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// Why seconds mean nothing here: far more runs than this proof. What was lost or doubled means something all the same.
fn busy() -> Option<String> {
    let told = std::fs::read_to_string("/proc/loadavg").ok()?;
    let load: f64 = told.split(' ').next()?.parse().ok()?;
    let cores = u32::try_from(std::thread::available_parallelism().ok()?.get()).ok()?;
    (load > BUSY * f64::from(cores))
        .then(|| format!("LATE, not judged: the load of this machine is {load}"))
}

async fn warm(load: &Load) -> anyhow::Result<()> {
    let began = Instant::now();
    while load.acknowledged() < WARM {
        anyhow::ensure!(began.elapsed() < WARM_PATIENCE, "the hall hardly answers");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
