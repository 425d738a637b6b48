package ledger

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ folder, want string }{
		{filepath.Join(dir, "absent"), "not there: make it, owned by the user that postmoat runs as, with mode 0700"},
		{file, "not a folder"},
	} {
		_, err := Open(tt.folder, Options{})
		if want := "state folder " + tt.folder + ": " + tt.want; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestOpenTwice(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	s := begin(t, l)
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) {
		t.Fatalf("a second one: %v, want ErrInUse", err)
	}
	commit(t, s, "the refused one has not removed this")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if f := recoverAll(t, dir); f.State != "the refused one has not removed this" {
		t.Errorf("%+v", f)
	}
}

// TestLeftovers: what a crash left is removed, what is not the ledger's stays.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"persist.yaml", "snapshot.x", "journal.01", "journal", ".hidden"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := open(t, dir)
	s := begin(t, l)
	if _, err := s.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if n := len(names(t, dir)); n != 6 {
		t.Fatalf("%q: want a temporary file too", names(t, dir))
	}
	l.crash()
	if f := recoverAll(t, dir); f.Snapshot != "" || len(f.Problems) > 0 {
		t.Errorf("%+v", f)
	}
	wantNames(t, dir, "persist.yaml", "snapshot.x", "journal.01", "journal", ".hidden")
}

// TestNewer: files of a newer version are moved aside, with the reason.
func TestNewer(t *testing.T) {
	dir, last := example(t)
	for _, name := range []string{"snapshot.2", "journal.2"} {
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		binary.LittleEndian.PutUint32(b[16:], 2)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := recoverAll(t, dir)
	const mark = " is not used: written by a newer postmoat (format 2; this one reads up to 1); moved aside as "
	if f.State != "ab" || len(f.Records) != 2 || len(f.Problems) != 3 ||
		f.Problems[0] != "snapshot.2"+mark+"snapshot.2.bad-20260301T120000Z" ||
		f.Problems[2] != "journal.2"+mark+"journal.2.bad-20260301T120000Z" {
		t.Errorf("%+v (of %q)", f, last)
	}
}

// TestBadIsBounded: of what was moved aside the newest three stay.
func TestBadIsBounded(t *testing.T) {
	dir := t.TempDir()
	now := clock
	for range 5 {
		l, err := Open(dir, Options{Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		snapshot(t, l, "x")
		for _, name := range names(t, dir) {
			if strings.HasPrefix(name, "snapshot.") && !strings.Contains(name, badMark) {
				flip(t, filepath.Join(dir, name), 1)
			}
		}
		recoverFrom(t, l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
	}
	// Each process has a generation of its own, and its snapshot the next.
	wantNames(t, dir, "snapshot.5.bad-20260301T140000Z", "snapshot.7.bad-20260301T150000Z", "snapshot.9.bad-20260301T160000Z")
}

func TestAfterClose(t *testing.T) {
	l := open(t, t.TempDir())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, beginErr := l.Begin()
	for what, err := range map[string]error{"append": l.Append(nil, true), "retry": l.Retry(), "begin": beginErr} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v, want os.ErrClosed", what, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Errorf("a second close: %v", err)
	}
}

func TestOneSnapshotAtATime(t *testing.T) {
	l := open(t, t.TempDir())
	s := begin(t, l)
	if _, err := l.Begin(); err == nil {
		t.Fatal("a second snapshot beside the first")
	}
	s.Abort()
	if _, err := s.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write after abort: %v", err)
	}
	if err := s.Commit(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("commit after abort: %v", err)
	}
	snapshot(t, l, "the next")
}
