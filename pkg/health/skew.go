package health

const (
	skewStep    = 900             // seconds: all time zones are apart by a multiple
	skewMost    = 14 * 3600 / 900 // steps
	skewNear    = 60              // seconds around a step that still count as it
	skewInStep  = 120             // seconds that live lines may be late, or early
	skewLines   = 20              // in a row that have to agree
	skewSeconds = 2               // that they have to span: more than one
	skewSane    = 1 << 40         // seconds since 1970; beyond it is no time
)

// A Skew compares the stamps of a live source with the wall clock, and finds out
// whether they are apart by a multiple of 15 minutes (a daemon in a chroot
// without a zone, summer time), or else (a clock that is wrong).
type Skew struct {
	// The lines in a row that agree, the newest included.
	Lines      int
	Anchor     int64 // wall - stamp that they agree on, seconds
	Step       bool  // Anchor is a multiple of 15 minutes
	FirstWall  int64
	FirstStamp int64

	// What enough lines agreed on last.
	Zone  int64 // seconds, a multiple of 15 minutes, 0 for none
	Wrong int64 // seconds, another difference, 0 for none
}

// Line notes a line that has just come: its stamp, and the wall clock. Lines
// read late, such as those from before the start, are not for it.
func (s *Skew) Line(stamp, wall int64) {
	if stamp < -skewSane || stamp > skewSane || wall < -skewSane || wall > skewSane {
		return
	}
	apart := wall - stamp
	anchor, step := classify(apart)
	switch {
	case s.Lines > 0 && step && s.Step && anchor == s.Anchor:
	case s.Lines > 0 && !step && !s.Step && distance(apart, s.Anchor) <= skewNear:
	default:
		*s = Skew{Anchor: anchor, Step: step, FirstWall: wall, FirstStamp: stamp, Zone: s.Zone, Wrong: s.Wrong}
	}
	s.Lines = min(s.Lines+1, skewLines) // it need not be known by how many more
	if s.Lines < skewLines || wall-s.FirstWall < skewSeconds || stamp-s.FirstStamp < skewSeconds {
		return
	}
	if s.Step {
		s.Zone, s.Wrong = s.Anchor, 0
	} else {
		s.Wrong = s.Anchor // a zone that was found stays until lines say otherwise
	}
}

// Offset is what has to be added to the stamps, in seconds, for them to be in
// the zone of the wall clock. It is found once 20 lines in a row, over more than
// a second, are within a minute of the same multiple of 15 minutes, up to 14
// hours; and gone once as many are in step, or at most two minutes off.
func (s *Skew) Offset() (seconds int64, ok bool) {
	return s.Zone, s.Zone != 0
}

// Skewed is how many seconds the wall clock is ahead of the stamps, when that is
// more than 120 either way, no multiple of 15 minutes, and the same (within a
// minute) for as many lines as Offset wants: a clock is wrong, or lines are
// long on their way.
func (s *Skew) Skewed() (seconds int64, ok bool) {
	return s.Wrong, s.Wrong != 0
}

// classify gives the multiple of 15 minutes that a difference is near to, or
// else the difference itself.
func classify(apart int64) (anchor int64, step bool) {
	if distance(apart, 0) <= skewInStep {
		return 0, true
	}
	k := (apart + skewStep/2) / skewStep
	if apart < 0 {
		k = (apart - skewStep/2) / skewStep
	}
	if k != 0 && distance(k, 0) <= skewMost && distance(apart, k*skewStep) <= skewNear {
		return k * skewStep, true
	}
	return apart, false
}

func distance(a, b int64) int64 {
	if a < b {
		return b - a
	}
	return a - b
}
