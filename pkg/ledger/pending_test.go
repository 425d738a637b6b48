package ledger

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPending: while the disk takes nothing records wait, in order, those that
// must be durable in preference.
func TestPending(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	add(t, l, "before")
	l.journal.file.Close() // whatever is written now fails, and cannot be cut off
	l.folder = filepath.Join(dir, "gone")
	big := bytes.Repeat([]byte("x"), MaxRecord)
	for i := range maxPendingBytes / MaxRecord {
		if err := l.Append(big, i%2 == 0); err == nil || strings.Contains(err.Error(), "lost") {
			t.Fatalf("record %d: %v, want an error that does not say lost", i, err)
		}
	}
	if n := l.Pending(); n != 8 {
		t.Fatalf("%d wait, want 8", n)
	}
	// Each of these takes the place of the oldest that need not be durable, in
	// the end of one of their own kind.
	for i := range 5 {
		if err := l.Append(fmt.Appendf(nil, "small %d", i), false); err == nil {
			t.Fatal("no error")
		}
	}
	for range 4 {
		if err := l.Append(big, true); err == nil || strings.Contains(err.Error(), "lost") {
			t.Fatalf("%v, want an error that does not say lost", err)
		}
	}
	if n := l.Pending(); n != 8 {
		t.Fatalf("%d wait, want 8", n)
	}
	for _, durable := range []bool{true, false} {
		if err := l.Append([]byte("one too many"), durable); err == nil || !strings.Contains(err.Error(), "it is lost") {
			t.Fatalf("%v, want an error that says lost", err)
		}
	}
	if err := l.Retry(); err == nil {
		t.Fatal("no error")
	}
	l.folder = dir
	if err := l.Retry(); err != nil || l.Pending() != 0 {
		t.Fatalf("%v, %d wait", err, l.Pending())
	}
	f := recoverFrom(t, l)
	if len(f.Records) != 9 || f.Records[0] != "before" || slices.Contains(f.Records[1:], "before") || len(f.Problems) > 0 {
		t.Errorf("%d records, problems %q", len(f.Records), f.Problems)
	}
}

func TestPendingCount(t *testing.T) {
	var p pending
	for i := range maxPending {
		if !p.add(waiting{serial: serial{n: uint64(i)}, durable: i != 7}) {
			t.Fatalf("no room for record %d", i)
		}
	}
	if !p.add(waiting{durable: true}) || len(p.records) != maxPending || p.records[7].serial.n != 8 {
		t.Error("record 7 need not be durable and should have made room")
	}
	if p.add(waiting{durable: true}) || p.add(waiting{}) || p.bytes != 0 {
		t.Error("all are durable, and yet there was room")
	}
}

func TestTooLarge(t *testing.T) {
	l := open(t, t.TempDir())
	if err := l.Append(make([]byte, MaxRecord+1), true); err == nil || l.Pending() != 0 {
		t.Errorf("error %v, %d wait", err, l.Pending())
	}
	add(t, l, strings.Repeat("x", MaxRecord))
	if f := recoverFrom(t, l); len(f.Records) != 1 || len(f.Records[0]) != MaxRecord {
		t.Errorf("%d records", len(f.Records))
	}
}
