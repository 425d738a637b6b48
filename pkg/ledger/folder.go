package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Names in the folder: snapshot.GENERATION and journal.GENERATION; what was
// moved aside has badMark and the time behind that. Temporary files are those
// of renameio: a dot, the name, and a random number.
const (
	snapshotName = "snapshot"
	journalName  = "journal"
	badMark      = ".bad-"
	badTime      = "20060102T150405Z"
	tempPrefix   = "." + snapshotName + "."

	// keepBad is how many files that were moved aside are kept: they are for a
	// person to look at, and must not fill the disk.
	keepBad = 3
)

// A listing is what lies in the folder, by generation, lowest first.
type listing struct {
	snapshots, journals []uint64
	bad                 []string // oldest first
	temps               []string
	highest             uint64 // generation in any name, also of what was moved aside
	any                 bool   // there is such a name
}

// list reads the folder. Names that are not the ledger's are left alone.
func list(folder string) (listing, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return listing{}, err
	}
	var l listing
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, tempPrefix) {
			l.temps = append(l.temps, name)
			continue
		}
		whole, _, bad := strings.Cut(name, badMark)
		kind, number, _ := strings.Cut(whole, ".")
		g, err := strconv.ParseUint(number, 10, 64)
		if err != nil || strconv.FormatUint(g, 10) != number || kind != snapshotName && kind != journalName {
			continue
		}
		l.any, l.highest = true, max(l.highest, g)
		switch {
		case bad:
			l.bad = append(l.bad, name)
		case kind == snapshotName:
			l.snapshots = append(l.snapshots, g)
		default:
			l.journals = append(l.journals, g)
		}
	}
	slices.Sort(l.snapshots)
	slices.Sort(l.journals)
	slices.SortStableFunc(l.bad, func(a, b string) int {
		_, at, _ := strings.Cut(a, badMark)
		_, bt, _ := strings.Cut(b, badMark)
		return cmp.Compare(at, bt)
	})
	return l, nil
}

func fileName(kind string, generation uint64) string {
	return kind + "." + strconv.FormatUint(generation, 10)
}

// moveAside gives a file a name under which nobody reads it, and returns what
// was done, as a clause for an operator.
func (l *Ledger) moveAside(name string, now time.Time) string {
	aside := name + badMark + now.UTC().Format(badTime)
	if err := os.Rename(filepath.Join(l.folder, name), filepath.Join(l.folder, aside)); err != nil {
		return fmt.Sprintf("could not be moved aside: %v", bare(err))
	}
	have, err := list(l.folder)
	if err != nil {
		return "moved aside as " + aside
	}
	for len(have.bad) > keepBad {
		l.remove(have.bad[0])
		have.bad = have.bad[1:]
	}
	return "moved aside as " + aside
}

// remove removes a file that nobody needs; that it stays is no harm, so it is
// only said.
func (l *Ledger) remove(name string) {
	if err := os.Remove(filepath.Join(l.folder, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.log.Warn("a superfluous state file cannot be removed", "file", name, "err", bare(err))
	}
}

// prune removes what the snapshot of this generation makes superfluous: all
// from before the snapshot ahead of it.
func (l *Ledger) prune(generation uint64) {
	have, err := list(l.folder)
	if err != nil {
		l.log.Warn("superfluous state files cannot be found", "err", bare(err))
		return
	}
	i, _ := slices.BinarySearch(have.snapshots, generation)
	if i == 0 {
		return // the journals from the beginning on are the fallback
	}
	before := have.snapshots[i-1]
	for _, g := range have.snapshots[:i-1] {
		l.remove(fileName(snapshotName, g))
	}
	for _, g := range have.journals {
		if g < before {
			l.remove(fileName(journalName, g))
		}
	}
}

// probe finds out whether files can be made in the folder. A full disk is no
// reason to refuse: the ledger runs on in memory until there is room.
func probe(folder string) error {
	f, err := os.CreateTemp(folder, tempPrefix+"probe-")
	if err != nil {
		if full(err) {
			return nil
		}
		return fmt.Errorf("not writable: %w", bare(err))
	}
	f.Close()
	return os.Remove(f.Name())
}

// full reports whether an error says that there is no room left.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// syncFolder makes names durable. Some network file systems cannot, and say so
// with these two; there is nothing more to be done about it then.
func (l *Ledger) syncFolder() error {
	if err := l.lock.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return fmt.Errorf("sync folder: %w", bare(err))
	}
	return nil
}

// bare is an error without the path that the caller names itself.
func bare(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	if e := (*os.LinkError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
