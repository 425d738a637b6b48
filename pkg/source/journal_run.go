package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// A journal is the journal being followed.
type journal struct {
	board
	o       JournalOptions
	environ []string
	lookup  func(string) (string, error)

	fn     func(Line) error
	trust  trust
	began  int64 // microseconds
	live   bool  // an entry has come that was written since
	cursor string
	time   int64 // of the entry of the cursor
	seq    uint64
	buf    []byte
	broken bool
}

// outputFields are those an entry is judged and written by; cursor and time
// come unasked.
const outputFields = "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,_PID,_HOSTNAME,_UID,_COMM,_EXE,_SYSTEMD_SLICE,_SYSTEMD_UNIT"

// A seek is how a run of journalctl finds its place.
type seek uint8

const (
	seekStart  seek = iota
	seekCursor      // at the last entry, which comes again and proves that the place is right
	seekTime        // at the time of the last entry, which is gone
)

var (
	errUnknownCursor = errors.New("the journal no longer has the last entry that was read")
	errJournalEnded  = errors.New("journalctl ended")
	errNoMore        = errors.New("exit status 0")
	errFound         = errors.New("found")
)

func (j *journal) Run(ctx context.Context, from Position, fn func(Line) error) error {
	j.fn, j.seq, j.cursor, j.time = fn, from.Seq, from.Cursor, max(0, from.Time)
	j.began = j.now().UnixMicro()
	if j.cursor != "" && !plausible(j.cursor) {
		j.event(Gap, "the saved position makes no sense: starting anew")
		j.cursor = ""
	}
	defer j.update(func(s *Status) { s.State = Idle })
	how := seekStart
	switch {
	case j.cursor != "":
		how = seekCursor
	case j.time > 0:
		how = seekTime
	case j.o.Start == FromEnd:
		how, j.time = seekTime, j.began // what comes before journalctl has found the end is not missed
		j.update(func(s *Status) { s.Begin = Position{Time: j.began} })
	}
	pause := j.o.Retry
	for ctx.Err() == nil {
		started := j.now()
		var err error
		if j.trust, err = newTrust(j.o, j.lookup); err == nil {
			err = j.follow(ctx, how)
		}
		if cb, ok := errors.AsType[*callbackError](err); ok {
			return cb.err
		}
		if ctx.Err() != nil {
			break
		}
		if j.time == 0 {
			j.time = j.began // it has not read an entry yet
		}
		if how = seekTime; j.cursor != "" {
			how = seekCursor
		}
		if errors.Is(err, errUnknownCursor) {
			how = seekTime
			j.broken = true
			j.event(Gap, fmt.Sprintf("the journal no longer has the entry read last: going on with what is newer than %s; what was deleted before that was read is lost",
				time.UnixMicro(j.time).UTC().Format(time.RFC3339)))
			j.cursor = ""
			continue
		}
		j.raise(Journal, err.Error())
		j.update(func(s *Status) { s.State = Failing; s.Restarts++ })
		if j.now().Sub(started) > retryMost {
			pause = j.o.Retry
		}
		if !sleep(ctx, pause) {
			break
		}
		pause = min(2*pause, max(retryMost, j.o.Retry))
	}
	return nil
}

// Status is that of the board, but for a journal that has fallen silent.
func (j *journal) Status() Status {
	s := j.board.Status()
	if s.State == CatchingUp && j.now().Sub(s.LastLine) > healthy {
		s.State = Following
	}
	return s
}

// healthy is how long journalctl must run, and say nothing, to be well.
const healthy = 2 * time.Second

// plausible says whether a cursor can be one: it becomes an argument.
func plausible(cursor string) bool {
	for _, c := range []byte(cursor) {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return len(cursor) < maxShort
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// A callbackError is what the callback returned.
type callbackError struct{ err error }

func (e *callbackError) Error() string { return e.err.Error() }

// args are the arguments of journalctl. --no-tail is needed: with -f journalctl
// shows only the last ten entries, behind a cursor too (measured with 252).
func (j *journal) args(how seek) []string {
	args := []string{"-f", "-o", "export", "--no-pager", "--quiet", "--all", outputFields}
	switch {
	case how == seekCursor:
		args = append(args, "--no-tail", "--cursor="+j.cursor)
	case how == seekTime:
		args = append(args, "--no-tail", fmt.Sprintf("--since=@%d.%06d", j.time/1e6, j.time%1e6))
	default:
		args = append(args, "--no-tail")
	}
	return append(args, j.o.matches()...)
}

// follow runs journalctl once, to its end.
func (j *journal) follow(ctx context.Context, how seek) error {
	if how == seekCursor {
		// Asked for on its own first: behind a cursor that is ahead of the
		// journal (a machine set back to a snapshot) journalctl -f would wait
		// for as long as it takes to get there, and say nothing (measured).
		args := append([]string{"-o", "export", "--no-pager", "--quiet", "--lines=1", outputFields, "--cursor=" + j.cursor}, j.o.matches()...)
		err := j.child(ctx, args, func(r io.Reader) error {
			e, err := newExporter(r, j.o.MaxLine).next()
			if err == nil && string(e.cursor) == j.cursor {
				return errFound
			}
			if err == nil {
				return errUnknownCursor
			}
			return err
		})
		switch {
		case errors.Is(err, errFound):
		case errors.Is(err, errNoMore):
			return errUnknownCursor
		default:
			return err
		}
	}
	return j.child(ctx, j.args(how), func(r io.Reader) error {
		well := time.AfterFunc(healthy, j.well)
		defer well.Stop()
		return j.read(r, how)
	})
}

// child runs journalctl and has read take what it writes. Whatever ends the
// reading ends the child.
func (j *journal) child(ctx context.Context, args []string, read func(io.Reader) error) error {
	path, err := exec.LookPath(j.o.Journalctl)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = j.environ
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	said := &tailWriter{}
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return err
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return err
	}
	err = read(out)
	if err != io.EOF {
		cancel()
	}
	end := cmd.Wait()
	cancel()
	if err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	text := strings.TrimSpace(said.String())
	switch {
	case strings.Contains(text, "seek to cursor"):
		return errUnknownCursor
	case end == nil: // it may have warned of a damaged file that it skipped
		end = errNoMore
	}
	if text != "" {
		return fmt.Errorf("%w: %w: %s", errJournalEnded, end, text)
	}
	return fmt.Errorf("%w: %w", errJournalEnded, end)
}

// read delivers the entries of one run.
func (j *journal) read(r io.Reader, how seek) error {
	x := newExporter(r, j.o.MaxLine)
	after := j.time
	for first := true; ; first = false {
		e, err := x.next()
		if err != nil {
			return err
		}
		if first {
			j.well()
		}
		if how == seekCursor && first {
			if string(e.cursor) != j.cursor {
				return errUnknownCursor
			}
			continue
		}
		// journalctl begins at this microsecond. What is older came after a
		// step of the clock, and is new.
		if how == seekTime && e.time == after {
			continue
		}
		if err := j.deliver(e); err != nil {
			return err
		}
	}
}

// well notes that journalctl runs.
func (j *journal) well() {
	j.clear(Journal)
	j.update(func(s *Status) {
		if s.State != CatchingUp {
			s.State = Following
		}
	})
}

// deliver hands an entry on as a line, if it is one that may be believed.
func (j *journal) deliver(e *entry) error {
	if len(e.cursor) == 0 || len(e.cursor) >= maxShort {
		return fmt.Errorf("%w: an entry without a cursor", errExport)
	}
	j.cursor = string(e.cursor)
	j.time = e.time
	if !j.trust.accepts(e) {
		j.refused(e)
		return nil
	}
	var ok bool
	if j.buf, ok = e.line(j.buf[:0]); !ok {
		if e.long {
			j.seq++
			j.update(func(s *Status) { s.Long++ })
		}
		return nil
	}
	j.seq++
	if j.broken {
		j.seq++
		j.broken = false
	}
	old := !j.live && e.time < j.began
	j.live = !old // what comes behind a new one is new, with an earlier time after the clock was set back too
	j.update(func(s *Status) {
		s.Lines++
		s.LastLine = j.now()
		if s.State = Following; old {
			s.State = CatchingUp
		}
	})
	l := Line{Text: j.buf, Seq: j.seq, Old: old, Position: Position{Seq: j.seq, Cursor: j.cursor, Time: j.time}}
	if err := j.fn(l); err != nil {
		return &callbackError{err}
	}
	return nil
}

// refused counts an entry that is not believed. Its text is whatever a local
// user wants it to be, so the alarm names only what the kernel says.
func (j *journal) refused(e *entry) {
	j.update(func(s *Status) { s.Refused++ })
	j.raise(Forged, fmt.Sprintf("entries are refused, the last of user %q, program %q, unit %q: it is not one of those that write the mail log",
		clip(e.uid), clip(e.program), clip(e.unit)))
}

func clip(b []byte) []byte { return b[:min(len(b), 80)] }

// A tailWriter keeps the last bytes of what is written to it.
type tailWriter struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 1024

func (w *tailWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, p[max(0, len(p)-tailSize):]...)
	if over := len(w.buf) - tailSize; over > 0 {
		w.buf = append(w.buf[:0], w.buf[over:]...)
	}
	return len(p), nil
}

func (w *tailWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(bytes.ToValidUTF8(w.buf, []byte("?")))
}
