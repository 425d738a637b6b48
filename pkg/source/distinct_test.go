package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDistinct(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) Source { return NewFile(FileOptions{Path: filepath.Join(dir, name)}) }
	var text, entries strings.Builder
	for i := range 50 {
		message := fmt.Sprintf("NOQUEUE: reject: RCPT from unknown[198.51.100.%d]: 554 5.7.1", i)
		fmt.Fprintf(&text, "Nov 23 08:46:49 mx1 postfix/smtpd[1]: %s\n", message)
		fmt.Fprintf(&entries, "__CURSOR=%d\n__REALTIME_TIMESTAMP=%d\nMESSAGE=%s\n\n", i, i+1, message)
	}
	for name, data := range map[string]string{"mail.log": text.String(), "other.log": "another\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("mail.log", filepath.Join(dir, "link")), os.Symlink(dir, filepath.Join(dir, "dir"))); err != nil {
		t.Fatal(err)
	}
	slice := NewJournal(JournalOptions{Slices: []string{"system-postfix.slice"}})
	dovecot := NewJournal(JournalOptions{Identifiers: []string{"dovecot"}})
	there := func(context.Context, string, ...string) ([]byte, error) { return []byte(entries.String()), nil }
	empty := func(context.Context, string, ...string) ([]byte, error) { return nil, nil }
	missing := func(context.Context, string, ...string) ([]byte, error) { return nil, os.ErrNotExist }
	for _, c := range []struct {
		name string
		list []Source
		run  Runner
		same string // "": they are distinct
	}{
		{"nothing", nil, empty, ""},
		{"two files and two parts of the journal", []Source{in("mail.log"), in("other.log"), slice, dovecot}, empty, ""},
		{"a link", []Source{in("mail.log"), in("other.log"), in("link")}, empty, "mail.log and " + dir + "/link"},
		{"a rotated file", []Source{in("mail.log.1"), in("mail.log")}, empty, "mail.log.1"},
		{"one file that is not there yet, by two ways", []Source{in("new.log"), in("dir/new.log")}, empty, "new.log"},
		{"two that are not there yet", []Source{in("new.log"), in("newer.log")}, empty, ""},
		{"a file and the journal", []Source{slice, in("mail.log")}, there, "system-postfix.slice"},
		{"the journal cannot be read", []Source{in("mail.log"), slice}, missing, ""},
		{"the journal twice", []Source{dovecot, NewJournal(JournalOptions{Identifiers: []string{"x", "dovecot"}})}, empty, "dovecot"},
		{"a unit and its slice", []Source{slice, NewJournal(JournalOptions{Units: []string{"postfix@-.service"}})}, empty, "postfix@-.service"},
		{"a unit and another slice", []Source{slice, NewJournal(JournalOptions{Units: []string{"dovecot.service"}})}, empty, ""},
	} {
		err := Distinct(t.Context(), c.list, c.run)
		if errors.Is(err, ErrSameLog) != (c.same != "") || err != nil && !strings.Contains(err.Error(), c.same) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
