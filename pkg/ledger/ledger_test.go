package ledger

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clock is what the tests give as the time.
var clock = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, folder string) *Ledger {
	t.Helper()
	l, err := Open(folder, Options{Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A found is what Recover gave.
type found struct {
	State   string
	Records []string
	Recovery
}

// recoverAll opens the folder, recovers, and closes it again.
func recoverAll(t *testing.T, folder string) found {
	t.Helper()
	l := open(t, folder)
	f := recoverFrom(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return f
}

func recoverFrom(t *testing.T, l *Ledger) found {
	t.Helper()
	var f found
	var err error
	f.Recovery, err = l.Recover(func(r io.Reader) error {
		b, err := io.ReadAll(r)
		f.State = string(b)
		return err
	}, func(record []byte) error {
		f.Records = append(f.Records, string(record))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func add(t *testing.T, l *Ledger, records ...string) {
	t.Helper()
	for _, r := range records {
		if err := l.Append([]byte(r), false); err != nil {
			t.Fatal(err)
		}
	}
}

func snapshot(t *testing.T, l *Ledger, state string) {
	t.Helper()
	s := begin(t, l)
	commit(t, s, state)
}

func begin(t *testing.T, l *Ledger) *Snapshot {
	t.Helper()
	s, err := l.Begin()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func commit(t *testing.T, s *Snapshot, state string) {
	t.Helper()
	if _, err := io.WriteString(s, state); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func wantNames(t *testing.T, folder string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(want, names(t, folder)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestNothingYet(t *testing.T) {
	dir := t.TempDir()
	if diff := cmp.Diff(found{}, recoverAll(t, dir)); diff != "" {
		t.Error(diff)
	}
	wantNames(t, dir)
}

// TestGenerations walks through the life of a folder.
func TestGenerations(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	add(t, l, "a", "b")
	s := begin(t, l)
	add(t, l, "c") // after the state of the snapshot, though before its end
	commit(t, s, "state ab")
	wantNames(t, dir, "journal.0", "snapshot.1", "journal.1")
	snapshot(t, l, "state abc")
	snapshot(t, l, "state abc, later")
	add(t, l, "d")
	wantNames(t, dir, "snapshot.2", "snapshot.3", "journal.3")
	s = begin(t, l)
	add(t, l, "e")
	if _, err := io.WriteString(s, "given up"); err != nil {
		t.Fatal(err)
	}
	s.Abort()
	s.Abort()
	wantNames(t, dir, "snapshot.2", "snapshot.3", "journal.3", "journal.4")
	for _, name := range names(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: mode %v, error %v; want 0600", name, info.Mode(), err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want := found{State: "state abc, later", Records: []string{"d", "e"}, Recovery: Recovery{Snapshot: "snapshot.3", At: clock, Records: 2}}
	if diff := cmp.Diff(want, recoverAll(t, dir)); diff != "" {
		t.Error(diff)
	}

	l = open(t, dir)
	add(t, l, "f")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	wantNames(t, dir, "snapshot.2", "snapshot.3", "journal.3", "journal.4", "journal.5")
	want.Records, want.Recovery.Records = append(want.Records, "f"), 3
	if diff := cmp.Diff(want, recoverAll(t, dir)); diff != "" {
		t.Error(diff)
	}
}

// TestFallback damages the newest snapshot: the one before and the journals
// since give the same.
func TestFallback(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	add(t, l, "a")
	snapshot(t, l, "state a")
	add(t, l, "b")
	snapshot(t, l, "state ab")
	add(t, l, "c")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	flip(t, filepath.Join(dir, "snapshot.2"), headerSize+1)
	want := found{State: "state a", Records: []string{"b", "c"}, Recovery: Recovery{
		Snapshot: "snapshot.1", At: clock, Records: 2,
		Problems: []string{
			"snapshot.2 is not used: its checksum does not match; moved aside as snapshot.2.bad-20260301T120000Z",
			"snapshot.1, written 2026-03-01T12:00:00Z, is used instead",
		},
	}}
	if diff := cmp.Diff(want, recoverAll(t, dir)); diff != "" {
		t.Error(diff)
	}
	flip(t, filepath.Join(dir, "snapshot.1"), 3)
	f := recoverAll(t, dir)
	if f.Snapshot != "" || !slices.Equal(f.Records, []string{"b", "c"}) || len(f.Problems) != 2 ||
		f.Problems[1] != "no snapshot is left: the state is what the journal alone says" {
		t.Errorf("without any snapshot: %+v", f)
	}
	// The number of what was moved aside is not used again.
	l = open(t, dir)
	snapshot(t, l, "state new")
	if f := recoverFrom(t, l); f.Snapshot != "snapshot.4" {
		t.Errorf("loaded %s, want snapshot.4 (journal.2 and snapshot.2.bad were there)", f.Snapshot)
	}
}

// flip inverts a bit of a byte.
func flip(t *testing.T, path string, offset int64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[offset] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	snapshot(t, l, "one")
	add(t, l, "x", "bad", "y", "bad too")
	snapshot(t, l, "two")
	var states, records []string
	rec, err := l.Recover(func(r io.Reader) error {
		b, err := io.ReadAll(r)
		states = append(states, string(b))
		if string(b) == "two" {
			return errors.New("not a state of mine")
		}
		return err
	}, func(record []byte) error {
		if strings.HasPrefix(string(record), "bad") {
			return fmt.Errorf("not a record of mine: %q", record)
		}
		records = append(records, string(record))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(states, []string{"two", "one"}) || !slices.Equal(records, []string{"x", "y"}) || rec.Records != 2 {
		t.Errorf("states %q, records %q, %+v", states, records, rec)
	}
	want := []string{
		"snapshot.2 is not used: not a state of mine; moved aside as snapshot.2.bad-20260301T120000Z",
		"snapshot.1, written 2026-03-01T12:00:00Z, is used instead",
		`2 records of journal.1 are left out, the first because: not a record of mine: "bad"`,
	}
	if diff := cmp.Diff(want, rec.Problems); diff != "" {
		t.Error(diff)
	}
}
