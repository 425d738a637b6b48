package ban

import "testing"

// TestRewind: when the clock is set back by a year, what it has banned ends
// after its term, a parole after its day, and a renewal asks for a new knock.
func TestRewind(t *testing.T) {
	r := newRig(t)
	const year = 365 * int64(day)
	r.offend(t0+year, "192.0.2.1")
	r.Tick(t0 + year + hour)
	r.offend(t0+year+hour, "192.0.2.77", "198.51.100.7")
	r.ends("192.0.2.1 expired")
	r.Knock(r.of("192.0.2.77"), t0+year+hour, 1)
	r.Flush()

	r.Rewind(t0)
	r.holds("192.0.2.77", "198.51.100.7")
	for _, x := range r.Bans() {
		if x.Until != t0+hour || x.Deadline < x.Until || x.From != t0 {
			t.Errorf("%s is banned from %d until %d, the kernel's timeout is at %d; want %d, %d, a little later", x.Prefix, x.From, x.Until, x.Deadline, t0, t0+hour)
		}
	}
	if c := r.Flush(); len(c.Refresh) != 2 || len(c.Add)+len(c.Remove) != 0 {
		t.Errorf("the firewall is told %+v, want two earlier deadlines", c)
	}
	if s := r.State(); len(s.Parole) != 1 || s.Parole[0].Until != t0+day || s.History[0].End != t0 {
		t.Errorf("parole and history: %+v, %+v", s.Parole, s.History)
	}
	r.Knock(r.of("198.51.100.7"), t0+hour-1, 1)
	r.Tick(t0 + hour)
	r.holds("198.51.100.7") // knocked since
	r.Tick(t0 + day - 1)
	if r.Offence(t0+day-1, must("192.0.2.1")) == nil {
		t.Error("192.0.2.1 is on parole no longer")
	}
}

// TestRewindALittle: a host whose clock is some minutes behind shortens no ban
// twice.
func TestRewindALittle(t *testing.T) {
	r := newRig(t)
	r.offend(t0, "192.0.2.1")
	for now := t0; now < t0+hour-600; now += 10 {
		r.Rewind(now - 600)
		r.Tick(now)
	}
	r.holds("192.0.2.1")
}
