use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use minamo_media::{Codec, PictureSize};

use super::Source;
use super::ladder::rung;
use crate::{JobEvent, JobSink, JobSpec, KeyFrames, Pool, PoolConfig, Refused};

const PATIENCE: Duration = Duration::from_secs(60);

fn pool(threads: usize, pixels_per_second: u64) -> Pool {
    Pool::start(&PoolConfig { threads, pixels_per_second: Some(pixels_per_second) })
}

fn spec(codec: Codec, width: u32, height: u32) -> JobSpec {
    let rungs = vec![rung(160, 120), rung(80, 60)];
    JobSpec { codec, source: PictureSize { width, height }, fps: 30.0, rungs, keys: KeyFrames::OfSource }
}

fn sink() -> (JobSink, Receiver<JobEvent>) {
    let (sender, receiver) = channel();
    (Box::new(move |event| drop(sender.send(event))), receiver)
}

#[test]
fn several_jobs_give_all_their_pictures_in_order() {
    let pool = pool(2, 1 << 40);
    let mut sources: Vec<_> =
        [Codec::H264, Codec::Vp8, Codec::Vp9].into_iter().map(|codec| Source::new(codec, 320, 240)).collect();
    let (jobs, events): (Vec<_>, Vec<_>) = [Codec::H264, Codec::Vp8, Codec::Vp9]
        .into_iter()
        .map(|codec| {
            let (sink, events) = sink();
            (pool.admit(spec(codec, 320, 240), sink).unwrap(), events)
        })
        .unzip();
    assert_eq!(pool.load().jobs, 3);
    for _ in 0..20 {
        for (source, job) in sources.iter_mut().zip(&jobs) {
            job.push(source.next(false));
        }
        for events in &events {
            // Keeps the queues short, however slow the machine is.
            assert!(matches!(events.recv_timeout(PATIENCE).unwrap(), JobEvent::Pictures(pictures) if pictures.len() == 2));
        }
    }
    assert!(jobs.iter().all(|job| job.counts().encoded == 40 && job.counts().dropped == 0 && job.counts().damaged == 0));
    drop(jobs);
    // The sink goes with the job, perhaps a moment later.
    events.iter().for_each(|events| assert!(events.recv_timeout(PATIENCE).is_err()));
    let load = pool.load();
    assert!(load.busy > Duration::ZERO && load.used == 0 && load.jobs == 0, "{load:?}");
}

#[test]
fn what_does_not_fit_is_refused_and_fits_when_another_has_gone() {
    let one = spec(Codec::Vp8, 320, 240).cost();
    let pool = pool(1, one * 3 / 2);
    let first = pool.admit(spec(Codec::Vp8, 320, 240), sink().0).unwrap();
    let refused = pool.admit(spec(Codec::H264, 320, 240), sink().0).err().unwrap();
    assert_eq!(refused, Refused::Full { needed: one, free: one / 2 });
    assert_eq!((refused.reason(), pool.load().jobs, pool.load().used), ("full", 1, one));
    drop(first);
    while pool.load().jobs > 0 {
        thread::yield_now();
    }
    assert!(pool.admit(spec(Codec::H264, 320, 240), sink().0).is_ok());
}

#[test]
fn impossible_jobs_are_refused_with_their_reason() {
    let pool = pool(1, 1 << 40);
    let refused = |spec: JobSpec| pool.admit(spec, sink().0).err().unwrap();
    assert_eq!(refused(spec(Codec::Av1, 320, 240)), Refused::Codec(Codec::Av1));
    assert_eq!(refused(spec(Codec::Vp8, 9000, 9000)), Refused::Size);
    assert_eq!(refused(JobSpec { rungs: Vec::new(), ..spec(Codec::Vp8, 320, 240) }), Refused::Size);
    let off = super::pool::pool(0, 1 << 40);
    assert_eq!(off.admit(spec(Codec::Vp8, 320, 240), sink().0).err(), Some(Refused::Off));
    assert_eq!(off.run(|| ()).err(), Some(Refused::Off));
}

#[test]
fn a_source_that_grows_beyond_the_room_is_left_out_until_it_shrinks() {
    let small = spec(Codec::Vp8, 160, 120);
    let pool = pool(1, small.cost() * 2);
    let (sink, events) = sink();
    let job = pool.admit(small, sink).unwrap();
    let next = || events.recv_timeout(PATIENCE).unwrap();
    job.push(Source::new(Codec::Vp8, 160, 120).next(true));
    assert!(matches!(next(), JobEvent::Pictures(_)));
    let mut large = Source::new(Codec::Vp8, 1280, 720);
    job.push(large.next(true));
    assert!(matches!(next(), JobEvent::NoRoom(Refused::Full { .. })));
    job.push(large.next(false));
    job.push(Source::new(Codec::Vp8, 160, 120).next(true));
    assert!(matches!(next(), JobEvent::Pictures(_)));
    assert_eq!(pool.load().used, spec(Codec::Vp8, 160, 120).cost());
}

#[test]
fn a_flood_is_dropped_in_whole_groups_and_asks_for_a_key_frame() {
    let pool = pool(1, 1 << 40);
    let (sink, events) = sink();
    let job = pool.admit(spec(Codec::Vp8, 320, 240), sink).unwrap();
    let mut source = Source::new(Codec::Vp8, 320, 240);
    let units: Vec<_> = (0..90).map(|_| source.next(false)).collect();
    // The only thread is held, so that the queue is all there is.
    let (hold, held) = channel::<()>();
    let (began, begun) = channel();
    pool.run(move || {
        began.send(()).unwrap();
        let _ = held.recv();
    })
    .unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    units.into_iter().for_each(|unit| job.push(unit));
    assert!(job.starved());
    assert_eq!(job.counts().dropped, 90);
    job.push(source.next(true));
    assert!(!job.starved());
    drop(hold);
    let JobEvent::Pictures(pictures) = events.recv_timeout(PATIENCE).unwrap() else { panic!("no pictures") };
    assert!(pictures.iter().all(|picture| picture.picture.key && picture.pts == 90 * 3000));
}

#[test]
fn tasks_are_bounded_and_a_panic_ends_only_its_own() {
    let pool = pool(1, 1 << 40);
    pool.run(|| panic!("on purpose")).unwrap();
    let (hold, held) = channel::<()>();
    let (began, begun) = channel();
    pool.run(move || {
        began.send(()).unwrap();
        let _ = held.recv();
    })
    .unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    let accepted = (0..1000).filter(|_| pool.run(|| ()).is_ok()).count();
    assert_eq!(accepted, 64);
    drop(hold);
    let (done, told) = channel();
    while pool
        .run({
            let done = done.clone();
            move || done.send(()).unwrap()
        })
        .is_err()
    {
        thread::yield_now();
    }
    told.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_pool_measures_what_it_may_promise() {
    let pool = Pool::start(&PoolConfig { threads: 1, pixels_per_second: None });
    let assumed = pool.load().capacity;
    let (done, told) = channel();
    // The measurement comes first on that thread.
    pool.run(move || done.send(()).unwrap()).unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    assert_ne!(pool.load().capacity, assumed);
}
