package ledger

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// copyFolder copies the files of a folder into a new one: what a crash of the
// process leaves.
func copyFolder(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range names(t, from) {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// example is a folder with snapshot.1 ("ab"), snapshot.2 ("abcd") and the
// journals from journal.1 on: c, d; e, a long one, and one with zeros at its end.
func example(t *testing.T) (folder string, last []string) {
	folder = t.TempDir()
	l := open(t, folder)
	add(t, l, "a", "b")
	snapshot(t, l, "ab")
	add(t, l, "c", "d")
	snapshot(t, l, "abcd")
	last = []string{"e", strings.Repeat("long ", 20), "", "end\x00\x00\x00"}
	add(t, l, last...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	wantNames(t, folder, "snapshot.1", "journal.1", "snapshot.2", "journal.2")
	return folder, last
}

// TestJournalCutAnywhere: a power cut that leaves the journal with any length
// gives the records that are whole, without a problem; what is appended then
// comes after them.
func TestJournalCutAnywhere(t *testing.T) {
	folder, last := example(t)
	ends := []int64{headerSize} // of header and records
	for _, r := range last {
		ends = append(ends, ends[len(ends)-1]+prologueSize+int64(len(r)))
	}
	size := ends[len(ends)-1]
	path := filepath.Join(folder, "journal.2")
	whole, err := os.ReadFile(path)
	if err != nil || int64(len(whole)) != size {
		t.Fatalf("journal.2 has %d bytes, error %v; want %d", len(whole), err, size)
	}
	for cut := range size + 1 {
		for _, zeros := range []int64{0, 70} { // a file system that made the file longer before
			b := append(slices.Clone(whole[:cut]), make([]byte, zeros)...)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			var want []string
			for i, end := range ends[1:] {
				if end <= cut || end <= cut+zeros && strings.Trim(string(whole[cut:end]), "\x00") == "" {
					want = last[:i+1]
				}
			}
			f := recoverAll(t, folder)
			if f.State != "abcd" || !slices.Equal(f.Records, want) || len(f.Problems) > 0 {
				t.Fatalf("cut at %d, %d zeros: %+v, want %q", cut, zeros, f, want)
			}
			if at := slices.Index(ends, cut); zeros == 0 && f.Torn == 1 == (at >= 0) {
				t.Errorf("cut at %d: %d torn", cut, f.Torn)
			}
		}
	}
	if err := os.Truncate(path, ends[1]+3); err != nil {
		t.Fatal(err)
	}
	l := open(t, folder)
	add(t, l, "new")
	if f := recoverFrom(t, l); !slices.Equal(f.Records, []string{"e", "new"}) {
		t.Errorf("after a torn tail and one more: %q", f.Records)
	}
}

// TestSnapshotCutAnywhere: of whatever length the newest snapshot is left, the
// one before and the journals give the same state.
func TestSnapshotCutAnywhere(t *testing.T) {
	folder, last := example(t)
	info, err := os.Stat(filepath.Join(folder, "snapshot.2"))
	if err != nil || info.Size() != headerSize+4+trailerSize {
		t.Fatalf("%v, error %v", info.Size(), err)
	}
	for cut := range info.Size() {
		dir := copyFolder(t, folder)
		if err := os.Truncate(filepath.Join(dir, "snapshot.2"), cut); err != nil {
			t.Fatal(err)
		}
		wantFallback(t, dir, last, fmt.Sprintf("cut at %d", cut))
	}
	dir := copyFolder(t, folder)
	f, err := os.OpenFile(filepath.Join(dir, "snapshot.2"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	wantFallback(t, dir, last, "a byte too many")
}

func wantFallback(t *testing.T, dir string, last []string, what string) {
	t.Helper()
	f := recoverAll(t, dir)
	if want := append([]string{"c", "d"}, last...); f.State != "ab" || !slices.Equal(f.Records, want) || len(f.Problems) != 2 || f.Torn != 0 {
		t.Fatalf("%s: %+v, want %q", what, f, want)
	}
	wantNames(t, dir, "snapshot.1", "snapshot.2.bad-20260301T120000Z", "journal.1", "journal.2")
}

// TestFlips inverts a bit of every byte of every file in turn: what is given
// is the state, or a part of it from its beginning, and then it is said.
func TestFlips(t *testing.T) {
	folder, last := example(t)
	all := append([]string{"c", "d"}, last...)
	for _, name := range names(t, folder) {
		whole, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		dir := copyFolder(t, folder)
		for i := range whole {
			bit := i*8 + (i*5+i/8)%8
			b := slices.Clone(whole)
			b[i] ^= 1 << (bit % 8)
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
			f := recoverAll(t, dir)
			said := len(f.Problems) > 0 || f.Torn > 0
			switch name {
			case "snapshot.1", "journal.1": // not read
				if f.State != "abcd" || !slices.Equal(f.Records, last) || said {
					t.Fatalf("%s bit %d: %+v", name, bit, f)
				}
			case "snapshot.2":
				if f.State != "ab" || !slices.Equal(f.Records, all) || len(f.Problems) != 2 {
					t.Fatalf("%s bit %d: %+v", name, bit, f)
				}
			case "journal.2":
				if f.State != "abcd" || len(f.Records) >= len(last) || !slices.Equal(f.Records, last[:len(f.Records)]) || !said {
					t.Fatalf("%s bit %d: %+v", name, bit, f)
				}
				if len(f.Records) < len(last)-1 && len(f.Problems) != 1 {
					t.Fatalf("%s bit %d: damage with a record behind it, and no problem: %+v", name, bit, f)
				}
			}
			for _, n := range names(t, dir) {
				if strings.Contains(n, badMark) {
					if err := os.Remove(filepath.Join(dir, n)); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
}

// crash lets go of everything as the end of a process does.
func (l *Ledger) crash() {
	l.lock.Close()
	for _, j := range []*journal{l.journal, l.retired} {
		if j != nil {
			j.file.Close()
		}
	}
	l.closed = true
}

// TestLife does at random what a daemon does to a folder, and after each step
// looks at what a crash would leave: every record that did not have to wait, in
// order and once, whether the newest snapshot is whole or not.
func TestLife(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { life(t, rand.New(rand.NewPCG(seed, 6))) })
	}
}

func life(t *testing.T, r *rand.Rand) {
	folder := t.TempDir()
	l := open(t, folder)
	var all, saved []string // what was appended; what the newest snapshot holds
	var s *Snapshot
	var holds []string // what s holds
	for step := range 60 {
		what := ""
		switch n := r.IntN(20); {
		case n < 10:
			what = "append"
			record := fmt.Sprintf("%d%s", step, strings.Repeat(".", r.IntN(30)))
			all = append(all, record)
			if err := l.Append([]byte(record), r.IntN(3) == 0); (err == nil) != (l.folder == folder || l.journal != nil) {
				t.Fatalf("append: %v", err)
			}
		case n < 13 && s == nil:
			what = "begin"
			var err error
			if s, err = l.Begin(); (err == nil) != (l.folder == folder) {
				t.Fatalf("begin: %v", err)
			}
			holds = slices.Clone(all)
		case n < 17 && s != nil && l.folder == folder:
			what = "commit"
			commit(t, s, strings.Join(holds, ","))
			s, saved = nil, holds
		case n == 17 && s != nil:
			what = "abort"
			if _, err := io.WriteString(s, "half"); err != nil {
				t.Fatal(err)
			}
			s.Abort()
			s = nil
		case n == 18: // the disk takes no new file, for a while
			what = "trouble"
			if l.folder = folder; r.IntN(2) == 0 {
				l.folder = filepath.Join(folder, "gone")
			}
		case n == 19:
			what = "crash"
			if len(saved) > len(all)-l.Pending() {
				continue // what only one file has, damage to that file loses
			}
			all = all[:len(all)-l.Pending()]
			l.crash()
			s = nil
			l = open(t, folder)
		}
		dir := copyFolder(t, folder)
		want := all[:max(len(saved), len(all)-l.Pending())]
		f := recoverAll(t, dir)
		if len(f.Problems) > 0 || f.Torn > 0 || !slices.Equal(f.whole(), want) {
			t.Fatalf("step %d, %s: %+v,\nwant %q", step, what, f, want)
		}
		if f.Snapshot == "" {
			continue
		}
		flip(t, filepath.Join(dir, f.Snapshot), int64(r.IntN(headerSize+trailerSize)))
		g := recoverAll(t, dir)
		g.Recovery = Recovery{}
		// What waits in memory is in the damaged snapshot alone.
		want = all[:len(all)-l.Pending()]
		if got := g.whole(); !slices.Equal(got, want) {
			t.Fatalf("step %d, %s, damaged %s: %s", step, what, f.Snapshot, cmp.Diff(want, got))
		}
	}
}

// whole is all that was found, as records.
func (f found) whole() []string {
	if f.State == "" {
		return f.Records
	}
	return append(strings.Split(f.State, ","), f.Records...)
}
