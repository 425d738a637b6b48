package health

import "math"

const (
	understoodHalfLife = 2000 // lines
	understoodLeast    = 200  // lines to be seen before the share means anything
	understoodRaise    = 0.05 // the alarm comes above this share,
	understoodClear    = 0.03 // and goes below this one, so that it does not flap
)

// An Understood follows the share of the lines of Postfix and Dovecot that the
// parser does not know. An old line counts less than a new one, by half for
// every 2,000 lines since.
type Understood struct {
	Lines  float64 // so far
	Weight float64 // of all lines, as of now
	Not    float64 // of those that were not understood
	Raised bool    // the alarm is on
}

// Add notes lines that were understood, and lines that were not; those of one
// call count as evenly mixed.
func (u *Understood) Add(understood, not uint64) {
	n := float64(understood) + float64(not)
	if n == 0 {
		return
	}
	// The n new lines weigh 1 + q + ... + q^(n-1), and those before q^n of what
	// they did, with q the decay from one line to the next.
	kept := math.Exp2(-n / understoodHalfLife)
	fresh := (1 - kept) / (1 - math.Exp2(-1.0/understoodHalfLife))
	u.Lines += n
	u.Weight = u.Weight*kept + fresh
	u.Not = u.Not*kept + fresh*float64(not)/n

	if u.Lines < understoodLeast {
		return
	}
	if share := u.share(); u.Raised {
		u.Raised = share >= understoodClear
	} else {
		u.Raised = share > understoodRaise
	}
}

// Alarm reports whether too many lines are not understood: it comes when their
// share is over 5 % and at least 200 lines were seen, and goes when it is under
// 3 %. The share is from 0 to 1, and is given without an alarm too.
func (u *Understood) Alarm() (share float64, ok bool) {
	return u.share(), u.Raised
}

// Over reports whether more than a share of the lines is not understood, of at
// least 200 that were seen.
func (u *Understood) Over(share float64) bool {
	return u.Lines >= understoodLeast && u.share() > share
}

func (u *Understood) share() float64 {
	if u.Weight == 0 {
		return 0
	}
	return u.Not / u.Weight
}
