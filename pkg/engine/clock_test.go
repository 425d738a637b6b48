package engine

import "testing"

func TestClock(t *testing.T) {
	const t0 = 1_000_000_000
	type step struct {
		t    int64
		pid  uint32
		at   int64
		ok   bool
		mark int64
	}
	for _, tc := range []struct {
		name    string
		horizon int64
		steps   []step
	}{
		{"in order", 0, []step{{t0, 1, t0, true, t0}, {t0 + 5, 1, t0 + 5, true, t0 + 5}}},
		{"two minutes of disorder are tolerated", 0, []step{{t0, 1, t0, true, t0}, {t0 - 120, 1, t0 - 120, true, t0}}},
		{"later than that is dropped", 0, []step{{t0, 1, t0, true, t0}, {t0 - 121, 1, t0 - 121, false, t0}}},
		{"an hour forward is believed", 0, []step{{t0, 1, t0, true, t0}, {t0 + 3600, 1, t0 + 3600, true, t0 + 3600}}},
		{"more is held at mark", 0, []step{{t0, 1, t0, true, t0}, {t0 + 3601, 1, t0, true, t0}, {t0 + 1, 1, t0 + 1, true, t0 + 1}}},
		{"a quiet night within the horizon is believed", t0 + 90000, []step{{t0, 1, t0, true, t0}, {t0 + 40000, 1, t0 + 40000, true, t0 + 40000}}},
		{"three lines of two processes prove a jump", 0, []step{
			{t0, 1, t0, true, t0},
			{t0 + 90000, 1, t0, true, t0},
			{t0 + 90001, 2, t0, true, t0},
			{t0 + 90002, 1, t0 + 90002, true, t0 + 90002},
		}},
		{"lines of one process do not", 0, []step{
			{t0, 1, t0, true, t0},
			{t0 + 90000, 7, t0, true, t0},
			{t0 + 90001, 7, t0, true, t0},
			{t0 + 90002, 7, t0, true, t0},
			{t0 + 90003, 7, t0, true, t0},
		}},
		{"an honest line in between starts the proof anew", 0, []step{
			{t0, 1, t0, true, t0},
			{t0 + 90000, 1, t0, true, t0},
			{t0 + 90001, 2, t0, true, t0},
			{t0 + 1, 3, t0 + 1, true, t0 + 1},
			{t0 + 90002, 1, t0 + 1, true, t0 + 1},
		}},
		{"a stray first line of 2099 is overruled", 0, []step{
			{4_070_908_800, 1, 4_070_908_800, true, 4_070_908_800},
			{t0, 1, t0, false, 4_070_908_800},
			{t0 + 1, 2, t0 + 1, false, 4_070_908_800},
			{t0 + 2, 1, t0 + 2, true, t0 + 2},
		}},
		{"lines that disagree prove nothing", 0, []step{
			{t0, 1, t0, true, t0},
			{t0 + 90000, 1, t0, true, t0},
			{t0 + 990000, 2, t0, true, t0},
			{t0 + 90001, 3, t0, true, t0},
		}},
	} {
		c := clock{horizon: tc.horizon}
		for i, s := range tc.steps {
			at, ok := c.accept(s.t, s.pid)
			if at != s.at || ok != s.ok || c.mark != s.mark {
				t.Errorf("%s: step %d: accept(%d, %d) = %d, %v, mark %d; want %d, %v, mark %d", tc.name, i, s.t, s.pid, at, ok, c.mark, s.at, s.ok, s.mark)
			}
		}
	}
}

// TestClockFarFuture: one forged line of the far future must not move the
// clock, whatever came before.
func TestClockFarFuture(t *testing.T) {
	c := clock{}
	for i := range int64(1000) {
		c.accept(1_000_000_000+i, uint32(i%7))
		if i%10 == 0 {
			c.accept(4_000_000_000, 99)
		}
		if want := 1_000_000_000 + i; c.mark != want {
			t.Fatalf("mark %d, want %d", c.mark, want)
		}
	}
	if c.Held != 100 {
		t.Errorf("%d lines held, want 100", c.Held)
	}
}
