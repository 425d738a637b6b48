package ledger

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestAtOnce appends in one goroutine, begins snapshots there too, and writes
// them in another, as a daemon does.
func TestAtOnce(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	type job struct {
		s     *Snapshot
		state string
	}
	jobs := make(chan job)
	var writer sync.WaitGroup
	writer.Go(func() {
		for j := range jobs {
			for _, c := range []byte(j.state) {
				if _, err := j.s.Write([]byte{c}); err != nil {
					t.Error(err)
				}
			}
			if err := j.s.Commit(); err != nil {
				t.Error(err)
			}
		}
	})
	var all []string
	snapshots := 0
	var next *job
	for i := range 300 {
		record := strconv.Itoa(i)
		all = append(all, record)
		if err := l.Append([]byte(record), i%50 == 0); err != nil {
			t.Fatal(err)
		}
		if next == nil {
			if s, err := l.Begin(); err == nil { // else the one before is on its way
				next = &job{s, strings.Join(all, ",")}
				snapshots++
			}
		}
		if next != nil {
			select {
			case jobs <- *next:
				next = nil
			default:
			}
		}
		if l.Pending() != 0 {
			t.Fatal("a record waits")
		}
	}
	if next != nil {
		next.s.Abort()
		snapshots--
	}
	close(jobs)
	writer.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	f := recoverAll(t, dir)
	if snapshots > 0 && f.Snapshot == "" || len(f.Problems) > 0 || strings.Join(f.whole(), ",") != strings.Join(all, ",") {
		t.Errorf("after %d snapshots: %s", snapshots, fmt.Sprint(f))
	}
}
