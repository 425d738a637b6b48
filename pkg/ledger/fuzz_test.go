package ledger

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func seeds(f *testing.F, kind string, generation uint64) {
	l, err := Open(f.TempDir(), Options{})
	if err != nil {
		f.Fatal(err)
	}
	defer l.Close()
	for range 2 {
		for _, r := range []string{"a", "", "three"} {
			if err := l.Append([]byte(r), false); err != nil {
				f.Fatal(err)
			}
		}
		s, err := l.Begin()
		if err != nil {
			f.Fatal(err)
		}
		if _, err := s.Write([]byte("state")); err != nil {
			f.Fatal(err)
		}
		if err := s.Commit(); err != nil {
			f.Fatal(err)
		}
	}
	b, err := os.ReadFile(filepath.Join(l.folder, fileName(kind, generation)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Add(b[:headerSize])
	f.Add(append(b, 0, 0, 0))
	f.Add([]byte{})
}

// FuzzJournal: whatever is read ends without a panic, and what it gives is what
// the bytes say, record by record from the first on.
func FuzzJournal(f *testing.F) {
	seeds(f, journalName, 1)
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		torn, err := readJournal(bytes.NewReader(b), 1, func(s serial, record []byte) {
			if again == nil {
				again = append(again, b[:headerSize]...)
			}
			again = appendRecord(again, s, record)
		})
		if !bytes.HasPrefix(b, again) {
			t.Fatalf("read %x from %x", again, b)
		}
		if !torn && err == nil && len(again) != len(b) && len(b) != headerSize {
			t.Fatalf("%d bytes are silently passed over", len(b)-len(again))
		}
	})
}

// FuzzSnapshot: what is accepted is what would have been written.
func FuzzSnapshot(f *testing.F) {
	seeds(f, snapshotName, 2)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, length, err := checkSnapshot(bytes.NewReader(b), int64(len(b)), 2)
		if err != nil {
			return
		}
		if length != int64(len(b))-headerSize-trailerSize || h.generation != 2 {
			t.Fatalf("length %d of %d, %+v", length, len(b), h)
		}
		if head := h.appendTo(nil, snapshotMagic); !bytes.HasPrefix(b, head) {
			t.Fatalf("header %x of %x", head, b)
		}
	})
}
