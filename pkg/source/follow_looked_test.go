package source

import (
	"testing"
	"time"
)

// Looked moves on when all has been read, and only then: not while nobody looks,
// and not behind a callback that takes its time.
func TestFollowLooked(t *testing.T) {
	bubble(t, func(w *world) {
		w.open()
		w.lines(1)
		w.start()
		began := time.Now()
		if got := w.f.Status().Looked; !got.Equal(began) {
			t.Errorf("looked at %v, want %v", got, began)
		}
		time.Sleep(pollAlone / 2) // it sleeps longer
		w.lines(1)
		if got := w.f.Status().Looked; !got.Equal(began) {
			t.Errorf("looked at %v, before which a line was written that is not read", got)
		}
		w.pass(pollAlone)
		if got := w.f.Status().Looked; !got.Equal(began.Add(pollAlone)) {
			t.Errorf("looked at %v, want %v", got, began.Add(pollAlone))
		}
		w.want(true)

		release := make(chan struct{})
		w.block(release)
		w.lines(1)
		w.pass(time.Minute)
		if got := w.f.Status().Looked; got.After(time.Now().Add(-time.Minute)) {
			t.Errorf("looked at %v, and a line is on its way", got)
		}
		close(release)
		w.pass(tick)
		if got := w.f.Status().Looked; got.Before(time.Now().Add(-2 * tick)) {
			t.Errorf("looked at %v, %v ago", got, time.Since(got))
		}
		// A half line holds nothing up.
		w.raw(w.w, "half a line")
		w.pass(time.Minute)
		if got := w.f.Status().Looked; got.Before(time.Now().Add(-2 * tick)) {
			t.Errorf("looked at %v, %v ago", got, time.Since(got))
		}
		w.stop()
	})
}
