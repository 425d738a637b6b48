package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestDetect(t *testing.T) {
	entry := "__CURSOR=c\n__REALTIME_TIMESTAMP=5\nMESSAGE=x\n\n"
	all := "slices [system-postfix.slice] units [postfix.service] identifiers [dovecot]"
	for _, c := range []struct {
		name    string
		files   string // made under the root; with a trailing ! they are empty
		maillog string // what postconf says; "-": there is no Postfix
		postfix bool   // the journal has lines of Postfix
		dovecot bool
		file    string
		journal string
		why     string
		stdout  bool
		sealed  bool // nobody of this group may read the journal
	}{
		{name: "journal alone", files: "/run/systemd/journal/socket!", postfix: true, journal: all, why: "Postfix writes to it"},
		{name: "journal and rsyslog", files: "/run/systemd/journal/socket! /var/log/mail.log", postfix: true, dovecot: true, journal: all, why: "cannot forge"},
		{name: "rsyslog, journal unreadable", files: "/run/systemd/journal/socket! /var/log/mail.log", file: "/var/log/mail.log", why: "systemd-journal"},
		{name: "no journal", files: "/var/log/maillog", maillog: "-", file: "/var/log/maillog", why: "syslog daemon"},
		{name: "an empty file of Debian's and one that is written", files: "/var/log/mail.log! /var/log/maillog", file: "/var/log/maillog"},
		{name: "just made, no journal", files: "/var/log/maillog!", maillog: "-", file: "/var/log/maillog", why: "empty as yet"},
		{name: "just made or rotated, journal unreadable", files: "/run/systemd/journal/socket! /var/log/maillog!", sealed: true, file: "/var/log/maillog", why: "systemd-journal"},
		{name: "left behind empty, journal without Postfix", files: "/run/systemd/journal/socket! /var/log/mail.log!", journal: all, why: "yet"},
		{name: "just rotated, Postfix in the journal", files: "/run/systemd/journal/socket! /var/log/mail.log!", postfix: true, journal: all, why: "Postfix writes to it"},
		{name: "just rotated, another written", files: "/run/systemd/journal/socket! /var/log/mail.log! /var/log/maillog", sealed: true, file: "/var/log/maillog"},
		{name: "postlogd", files: "/run/systemd/journal/socket! /var/log/mail.log", maillog: "/var/log/postfix.log\n", postfix: true, file: "/var/log/postfix.log", why: "maillog_file"},
		{name: "postlogd, Dovecot in the journal", files: "/run/systemd/journal/socket!", maillog: "/var/log/postfix.log\n", dovecot: true,
			file: "/var/log/postfix.log", journal: "slices [] units [] identifiers [dovecot]", why: "and the journal for dovecot"},
		{name: "container", maillog: "/dev/stdout\n", stdout: true},
		{name: "fresh with a journal", files: "/run/systemd/journal/socket!", journal: all, why: "yet"},
		{name: "fresh without", maillog: "-", file: "/var/log/mail.log", why: "yet"},
	} {
		root := t.TempDir()
		for _, f := range strings.Fields(c.files) {
			name, empty := strings.CutSuffix(f, "!")
			p := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
				t.Fatal(err)
			}
			text := "line\n"
			if empty {
				text = ""
			}
			if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		run := func(_ context.Context, name string, args ...string) ([]byte, error) {
			switch {
			case name == "postconf" && c.maillog == "-":
				return nil, errors.New("not found")
			case name == "postconf":
				return []byte(c.maillog), nil
			case c.sealed:
				return nil, nil
			case slices.Contains(args, "_PID=1"):
				return []byte(entry), nil
			case slices.Contains(args, "_SYSTEMD_SLICE=system-postfix.slice") && c.postfix,
				slices.Contains(args, "SYSLOG_IDENTIFIER=dovecot") && c.dovecot:
				return []byte(entry), nil
			}
			return nil, nil
		}
		got, why, err := Detect(t.Context(), root, run)
		if errors.Is(err, ErrStandardOutput) != c.stdout || err != nil && !c.stdout {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		journal := ""
		if j := got.Journal; j != nil {
			journal = fmt.Sprintf("slices %v units %v identifiers %v", j.Slices, j.Units, j.Identifiers)
		}
		if got.File != c.file || journal != c.journal || !strings.Contains(why, c.why) {
			t.Errorf("%s: %q, journal %q: %s", c.name, got.File, journal, why)
		}
	}
}

func TestSameLog(t *testing.T) {
	var file, same, other bytes.Buffer
	for i := range 300 {
		message := fmt.Sprintf("NOQUEUE: reject: RCPT from unknown[198.51.100.%d]: 554 line %d", i%250, i)
		fmt.Fprintf(&file, "Nov 23 08:46:49 mx1 postfix/smtpd[%d]: %s\n", i, message)
		if i > 200 {
			fmt.Fprintf(&same, "__CURSOR=%d\n__REALTIME_TIMESTAMP=%d\nMESSAGE=%s\n\n", i, i+1, message)
		}
		fmt.Fprintf(&other, "__CURSOR=%d\n__REALTIME_TIMESTAMP=%d\nMESSAGE=imap-login: Login: user=<u%d>\n\n", i, i+1, i)
	}
	path := write(t, "mail.log", file.Bytes())
	for _, c := range []struct {
		out  []byte
		want bool
	}{{same.Bytes(), true}, {other.Bytes(), false}, {nil, false}} {
		run := func(context.Context, string, ...string) ([]byte, error) { return c.out, nil }
		if got, err := SameLog(t.Context(), path, JournalOptions{}, run); err != nil || got != c.want {
			t.Errorf("%v %v, want %v", got, err, c.want)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if !SameFile(path, link) || SameFile(path, t.TempDir()) || SameFile(path, path+"x") {
		t.Error("SameFile")
	}
}
