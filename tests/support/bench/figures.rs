//! All that is measured of a program.

use super::clients::Client;
use super::cost::{Place, Run, Way};
use std::thread;
use std::time::Instant;

/// How often a time is taken; the median counts.
const TIMES: usize = 9;
/// Deliveries at once, and how many one after another in each place.
const AT_ONCE: usize = 20;
const IN_TURN: usize = 10;

/// Of a way that the program cannot go, nothing.
#[derive(Default)]
pub struct Figures {
    pub name: String,
    pub is_ours: bool,
    /// By [`Way`], as is all that has four.
    pub instructions: [Option<f64>; 4],
    /// Connect not counted, to 1 and to 20 recipients.
    pub round_trips: [[Option<f64>; 4]; 2],
    /// KiB; in clear and by STARTTLS, with a login where it can, as is all that has two.
    pub resident: [Option<f64>; 2],
    /// In clear; of 1 KiB and of 10 MiB.
    pub calls: [Option<f64>; 2],
    /// Milliseconds for 10 MiB.
    pub cpu: [Option<f64>; 2],
    /// Milliseconds for 1 KiB on this machine.
    pub wall: [Option<f64>; 2],
    /// Messages of 1 KiB, 20 at once.
    pub per_second: [Option<f64>; 2],
}

impl Figures {
    pub fn measure(place: &Place, client: &Client) -> Figures {
        eprintln!("{}", client.name);
        let mut figures = Figures { name: client.name.clone(), is_ours: client.is_ours(), ..Figures::default() };
        for (n, way) in Way::ALL.into_iter().enumerate() {
            let mail = place.mail(way);
            let run = client.run(place, &mail);
            if let Err(why) = place.deliver(way, &run, &[]) {
                assert!(!figures.is_ours, "{why}");
                eprintln!("not by {}: {why}", way.name());
                continue;
            }
            figures.instructions[n] = Some(place.instructions(way, &run) as f64);
            for (row, recipients) in [1, 20].into_iter().enumerate() {
                let far = client.run(place, &place.far_mail(way, recipients));
                figures.round_trips[row][n] = Some(place.round_trips(way, &far) as f64);
            }
            let column = match way {
                Way::Clear => 0,
                Way::StartTlsAuth => 1,
                Way::ClearAuth | Way::Port465Auth => continue,
            };
            let run = client.run(place, &mail); // its files again
            figures.resident[column] = Some(median(|| place.resident(way, &run) as f64));
            figures.wall[column] = Some(median(|| wall(place, way, &run)));
            figures.per_second[column] = Some(per_second(place, way, &run));
            let large = client.run(place, &place.large_mail(way));
            figures.cpu[column] = Some(median(|| place.cpu(way, &large)));
            if way == Way::Clear {
                figures.calls[1] = Some(place.calls(way, &large) as f64);
                let small = client.run(place, &mail);
                figures.calls[0] = Some(place.calls(way, &small) as f64);
            }
        }
        figures
    }
}

/// Milliseconds.
fn wall(place: &Place, way: Way, run: &Run) -> f64 {
    let start = Instant::now();
    place.deliver(way, run, &[]).unwrap();
    start.elapsed().as_secs_f64() * 1000.0
}

fn per_second(place: &Place, way: Way, run: &Run) -> f64 {
    place.sink(way).taken();
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| (0..IN_TURN).for_each(|_| run.under(&[]).unwrap()));
        }
    });
    let elapsed = start.elapsed().as_secs_f64();
    assert_eq!(place.sink(way).taken(), AT_ONCE * IN_TURN);
    (AT_ONCE * IN_TURN) as f64 / elapsed
}

fn median(mut measure: impl FnMut() -> f64) -> f64 {
    let mut values = [(); TIMES].map(|()| measure());
    values.sort_by(f64::total_cmp);
    values[TIMES / 2]
}
