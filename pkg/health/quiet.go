// Package health holds small trackers that tell an operator when something
// around postmoat is not as it should be: a log that has gone quiet, lines that
// are not understood, clocks that differ, a proxy in front. They raise alarms
// and decide nothing.
//
// A tracker is a plain value: its zero value is ready, its fields are exported
// only so that it can be encoded, and it is for one goroutine. Times are
// handed in, in seconds since 1970.
package health

import (
	"math"
	"time"
)

const (
	quietHalfLife = 2 * 24 * 3600 // seconds in which a habit is half forgotten
	quietLeast    = 15 * 60       // seconds: a shorter gap is never an alarm
	quietTimes    = 3             // times the habit
	quietLines    = 100           // to be seen before the habit means anything
	quietSpan     = 3600          // seconds that they have to span
)

// A Quiet tells whether a source has been quiet for longer than is its habit:
// the longest gap between two lines, an old gap counting less than a new one (by
// half for every two days since).
//
// A gap longer than what raises the alarm is learnt as just that long. So an
// outage does not make the next one go unnoticed, and yet a source that is
// quiet every night is known for it after a few.
type Quiet struct {
	First, Last int64   // of the first line, and of the newest
	Lines       uint64  // so far
	Longest     float64 // the habit in seconds, as of Last
}

// Line notes that a line came at a time of the wall clock. A time before that of
// the line ahead counts as that.
func (q *Quiet) Line(at int64) {
	q.Lines++
	if q.Lines == 1 {
		q.First, q.Last = at, at
		return
	}
	if at <= q.Last {
		return
	}
	gap := float64(at) - float64(q.Last)
	learnt := min(gap, q.limit())
	q.Longest = max(q.Longest*math.Exp2(-gap/quietHalfLife), learnt)
	q.Last = at
}

// Alarm reports whether the source has been quiet for too long now: more than
// 15 minutes, and more than three times its habit. since is when the last line
// came. There is no alarm before 100 lines over an hour were seen.
func (q *Quiet) Alarm(now int64) (since int64, habit time.Duration, ok bool) {
	if q.Lines < quietLines || float64(q.Last)-float64(q.First) < quietSpan {
		return 0, 0, false
	}
	if float64(now)-float64(q.Last) <= q.limit() {
		return 0, 0, false
	}
	return q.Last, time.Duration(q.Longest * float64(time.Second)), true
}

// limit is the gap in seconds above which there is an alarm.
func (q *Quiet) limit() float64 {
	return max(quietLeast, quietTimes*q.Longest)
}
