use std::time::Duration;

use proptest::prelude::*;

use super::*;

const START: u64 = 1_750_000_000;

fn clock() -> (Clock, Hand) {
    Clock::by_hand(Timestamp::from_secs(START))
}

/// Passes `seconds`, with the tick that the gate makes each second.
fn pass(clock: &Clock, hand: &Hand, seconds: u64) {
    for _ in 0..seconds {
        hand.advance(Duration::from_secs(1));
        clock.tick();
    }
}

fn since_start(clock: &Clock) -> u64 {
    clock.now().secs() - START
}

#[test]
fn the_system_clock_is_good_and_moves() {
    let clock = Clock::system();
    let first = clock.now_millis();
    assert!(first.abs_diff(clock.wall_millis()) < 1000);
    std::thread::sleep(Duration::from_millis(20));
    clock.tick();
    assert!(clock.now_millis() >= first + 20);
    assert_eq!(clock.state(), ClockState::Good);
}

#[test]
fn time_passes_on_both_clocks() {
    let (clock, hand) = clock();
    pass(&clock, &hand, 5);
    hand.advance(Duration::from_secs(3600));
    assert_eq!(since_start(&clock), 3605);
    assert_eq!(clock.state(), ClockState::Good);
}

#[test]
fn ten_minutes_ahead_count_after_they_stood_a_minute() {
    let (clock, hand) = clock();
    hand.step_wall(600);
    clock.tick();
    assert_eq!(since_start(&clock), 0);
    assert_eq!(clock.state(), ClockState::SteppedAhead { by: Duration::from_secs(600) });
    pass(&clock, &hand, 59);
    assert_eq!(since_start(&clock), 59);
    assert!(matches!(clock.state(), ClockState::SteppedAhead { .. }));
    pass(&clock, &hand, 1);
    assert_eq!(since_start(&clock), 660);
    assert_eq!(clock.state(), ClockState::Good);
}

#[test]
fn a_step_taken_back_within_the_minute_never_counts() {
    let (clock, hand) = clock();
    hand.step_wall(600);
    pass(&clock, &hand, 50);
    hand.step_wall(-600);
    pass(&clock, &hand, 20);
    assert_eq!(since_start(&clock), 70);
    assert_eq!(clock.state(), ClockState::Good);
    hand.step_wall(600);
    pass(&clock, &hand, 50);
    assert_eq!(since_start(&clock), 120);
}

#[test]
fn a_second_step_starts_the_minute_anew() {
    let (clock, hand) = clock();
    hand.step_wall(600);
    pass(&clock, &hand, 50);
    hand.step_wall(86_400);
    pass(&clock, &hand, 50);
    assert_eq!(since_start(&clock), 100);
    pass(&clock, &hand, 11);
    assert_eq!(since_start(&clock), 87_111);
}

#[test]
fn an_operator_confirms_a_step() {
    let (clock, hand) = clock();
    hand.step_wall(3600);
    clock.tick();
    assert_eq!(since_start(&clock), 0);
    clock.confirm_step();
    assert_eq!(since_start(&clock), 3600);
    assert_eq!(clock.state(), ClockState::Good);
    clock.confirm_step();
    assert_eq!(since_start(&clock), 3600);
}

#[test]
fn ten_minutes_back_stand_still_until_the_wall_clock_is_there_again() {
    let (clock, hand) = clock();
    pass(&clock, &hand, 10);
    hand.step_wall(-600);
    clock.tick();
    assert_eq!(since_start(&clock), 10);
    assert_eq!(clock.state(), ClockState::Behind { by: Duration::from_secs(600) });
    pass(&clock, &hand, 539);
    assert_eq!(since_start(&clock), 10);
    assert!(matches!(clock.state(), ClockState::Behind { .. }));
    pass(&clock, &hand, 1);
    assert_eq!(clock.state(), ClockState::Good);
    pass(&clock, &hand, 60);
    assert_eq!(since_start(&clock), 10);
    pass(&clock, &hand, 5);
    assert_eq!(since_start(&clock), 15);
}

#[test]
fn a_wall_clock_put_right_after_a_step_back_is_good_at_once() {
    let (clock, hand) = clock();
    hand.step_wall(-600);
    pass(&clock, &hand, 100);
    assert_eq!(since_start(&clock), 0);
    hand.step_wall(600);
    assert_eq!(since_start(&clock), 100);
    assert_eq!(clock.state(), ClockState::Good);
}

#[test]
fn drift_is_followed_both_ways() {
    for drift_seconds in [1_i64, -1] {
        let (clock, hand) = clock();
        for _ in 0..3600 {
            pass(&clock, &hand, 10);
            hand.step_wall(drift_seconds);
            clock.tick();
            assert_eq!(clock.state(), ClockState::Good);
        }
        pass(&clock, &hand, 5);
        assert_eq!(clock.now_millis(), clock.wall_millis());
        assert_eq!(since_start(&clock), 36_005_u64.saturating_add_signed(3600 * drift_seconds));
    }
}

#[test]
fn a_leap_second_is_no_event() {
    let (clock, hand) = clock();
    pass(&clock, &hand, 10);
    hand.step_wall(-1);
    assert_eq!(since_start(&clock), 10);
    assert_eq!(clock.state(), ClockState::Good);
    pass(&clock, &hand, 1);
    assert_eq!(since_start(&clock), 10);
    pass(&clock, &hand, 1);
    assert_eq!(since_start(&clock), 11);
    hand.step_wall(1);
    assert_eq!(since_start(&clock), 12);
    assert_eq!(clock.state(), ClockState::Good);
}

#[test]
fn a_start_in_1970_waits_for_the_first_setting_to_stand() {
    let (clock, hand) = Clock::by_hand(Timestamp::from_secs(0));
    pass(&clock, &hand, 30);
    hand.step_wall(i64::try_from(START).unwrap());
    clock.tick();
    assert_eq!(clock.now().secs(), 30);
    assert!(matches!(clock.state(), ClockState::SteppedAhead { .. }));
    pass(&clock, &hand, 60);
    assert_eq!(clock.now().secs(), START + 90);
    assert_eq!(clock.state(), ClockState::Good);
}

#[test]
fn threads_never_see_time_run_back() {
    let (clock, hand) = clock();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut last = clock.now_millis();
                for _ in 0..20_000 {
                    let now = clock.now_millis();
                    assert!(now >= last);
                    last = now;
                }
            });
        }
        for step in [30, -600, 580, -30, 7200, -7000] {
            hand.step_wall(step);
            hand.advance(Duration::from_millis(700));
            clock.tick();
            std::thread::yield_now();
        }
    });
}

#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    Step(i64),
    Tick,
}

proptest! {
    /// Whatever the wall clock does: time never runs back, and no step by itself takes it more
    /// than a minute further than time that passed.
    #[test]
    fn gate_time_never_runs_back_nor_leaps(events in prop::collection::vec(prop_oneof![
        (1_u64..5000).prop_map(Event::Pass),
        (-100_000_i64..100_000).prop_map(Event::Step),
        Just(Event::Tick),
    ], 1..200)) {
        let (clock, hand) = clock();
        let mut last = clock.now_millis();
        let mut latest_allowed = last + 60_000;
        for event in events {
            match event {
                Event::Pass(ms) => {
                    hand.advance(Duration::from_millis(ms));
                    latest_allowed += ms;
                }
                Event::Step(seconds) => hand.step_wall(seconds),
                // Settles what stood for a minute, and drift: counted from there.
                Event::Tick => {
                    clock.tick();
                    latest_allowed = latest_allowed.max(clock.now_millis() + 60_000);
                }
            }
            let now = clock.now_millis();
            prop_assert!(now >= last);
            prop_assert!(now <= latest_allowed);
            last = now;
        }
    }
}
