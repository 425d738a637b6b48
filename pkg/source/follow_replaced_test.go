package source

import (
	"bytes"
	"os"
	"testing"
	"time"
)

// replace does what sed -i and other editors do: another file with the same
// beginning takes the path of the log, and the file that was there is gone. Its
// writer writes there until it is told.
func (w *world) replace(edit func([]byte) []byte) (before *os.File) {
	w.t.Helper()
	before = w.w
	data, err := os.ReadFile(w.path)
	w.ok(err)
	w.ok(os.WriteFile(w.path+".edited", edit(data), 0o600))
	w.rename("mail.log.edited", "mail.log")
	return before
}

// A log that was edited is read on behind what was in it: nothing comes twice,
// and what is written from then on is not missed.
func TestFollowEdited(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func([]byte) []byte
	}{
		{"not altered", bytes.Clone},
		{"a line taken out", func(b []byte) []byte { return append(bytes.Clone(b[:1200]), b[1260:]...) }},
		{"a line put in", func(b []byte) []byte {
			return append(append(bytes.Clone(b[:1200]), "Nov 23 08:46:49 mx1 root: look here\n"...), b[1200:]...)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(w *world) {
				w.open()
				w.start()
				w.lines(40)
				w.pass(tick)
				before := w.replace(c.edit)
				w.raw(before, w.line()) // its writer does not know yet
				w.pass(tick)
				w.open() // and now it does
				w.lines(5)
				w.pass(tick)
				w.raw(before, w.line())
				w.lines(5)
				w.pass(time.Minute)
				w.lines(5)
				w.pass(tick)
				w.want(false)
				w.alarms(Gap) // what was altered may have been lost
				if s := w.f.Status(); s.State != Following || time.Since(s.Looked) > 2*tick {
					w.t.Errorf("%+v", s)
				}
				w.stop()
			})
		})
	}
}

// A rotation that is taken back: the renamed file is the log again. It is read
// on where it was read to.
func TestFollowRotationTakenBack(t *testing.T) {
	for _, after := range []time.Duration{0, tick, 5 * time.Second, time.Minute} {
		t.Run(after.String(), func(t *testing.T) {
			bubble(t, func(w *world) {
				before := w.open()
				w.start()
				w.lines(20)
				w.pass(tick)
				w.rename("mail.log", "mail.log.1")
				w.open()
				w.pass(tick)
				w.pass(after)
				w.rename("mail.log", "mistake")
				w.rename("mail.log.1", "mail.log")
				w.w = before
				for range 30 {
					w.lines(1)
					w.pass(time.Second)
				}
				w.pass(time.Minute)
				w.lines(5)
				w.pass(tick)
				w.want(true)
				w.alarms()
				if s := w.f.Status(); s.State != Following || time.Since(s.Looked) > 2*tick {
					w.t.Errorf("%+v", s)
				}
				w.stop()
			})
		})
	}
}

// A log that is not there at a start, as on a file system that is mounted late, is
// gone on with when it comes: none of its lines is read again.
func TestFollowAbsentAtStart(t *testing.T) {
	bubble(t, func(w *world) {
		w.open()
		w.lines(20)
		w.start()
		w.pass(tick)
		w.stop()
		w.lines(5)
		w.rename("mail.log", "elsewhere")
		w.start()
		w.pass(time.Minute)
		w.alarms(Missing)
		w.rename("elsewhere", "mail.log")
		w.lines(5)
		w.pass(tick)
		w.want(true)
		w.alarms()
		w.stop()
		// Another one comes: what was behind the place in the first is lost.
		w.ok(os.Remove(w.path))
		w.start()
		w.pass(tick)
		w.alarms(Missing)
		w.open()
		w.lines(5)
		w.pass(tick)
		w.want(true)
		w.alarms(Gap)
		w.stop()
	})
}
