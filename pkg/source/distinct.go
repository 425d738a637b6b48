package source

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// ErrSameLog says that two sources are one log: each line would count twice.
var ErrSameLog = errors.New("are the same log, and each line would count twice: leave one of them out")

// Distinct checks that no log is among the sources twice: as a file under
// another name or among another's rotated files, as a part of the journal that
// another source reads too, or as a file that a syslog daemon fills from the
// journal, by what is in both (see [SameLog]). Where that cannot be looked at,
// because there is no file or journalctl yet, they are taken for two logs.
func Distinct(ctx context.Context, list []Source, run Runner) error {
	for i, a := range list {
		for _, b := range list[:i] {
			if sameSource(ctx, b, a, run) {
				return fmt.Errorf("%s and %s %w", b.Name(), a.Name(), ErrSameLog)
			}
		}
	}
	return nil
}

func sameSource(ctx context.Context, a, b Source, run Runner) bool {
	switch a := a.(type) {
	case *follower:
		switch b := b.(type) {
		case *follower:
			return sameFiles(a.o.Path, b.o.Path)
		case *journal:
			same, err := SameLog(ctx, a.o.Path, b.o, run)
			return same && err == nil
		}
	case *journal:
		switch b := b.(type) {
		case *follower:
			return sameSource(ctx, b, a, run)
		case *journal:
			return a.o.overlaps(b.o)
		}
	}
	return false
}

// sameFiles says whether one path names the other's file, or one of those that
// it was rotated to.
func sameFiles(a, b string) bool {
	if SameFile(a, b) {
		return true
	}
	full := func(path string) string {
		if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			path = filepath.Join(dir, filepath.Base(path))
		}
		if abs, err := filepath.Abs(path); err == nil {
			path = abs
		}
		return path
	}
	a, b = full(a), full(b) // they may not be there yet
	if a == b {
		return true
	}
	if filepath.Dir(a) != filepath.Dir(b) {
		return false
	}
	a, b = filepath.Base(a), filepath.Base(b)
	return len(siblings(a, []string{b})) > 0 || len(siblings(b, []string{a})) > 0
}

// overlaps says whether an entry can be meant by both. A unit's instances
// (postfix@-.service) are in the slice of their template (system-postfix.slice).
func (o JournalOptions) overlaps(p JournalOptions) bool {
	shared := func(a, b []string) bool {
		return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
	}
	sliced := func(units []string) (in []string) {
		for _, u := range units {
			if template, _, ok := strings.Cut(u, "@"); ok {
				in = append(in, "system-"+template+".slice")
			}
		}
		return in
	}
	return shared(o.Slices, p.Slices) || shared(o.Units, p.Units) || shared(o.Identifiers, p.Identifiers) ||
		shared(o.Slices, sliced(p.Units)) || shared(sliced(o.Units), p.Slices)
}
