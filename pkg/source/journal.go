package source

import (
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"
)

// JournalOptions says what is read of the systemd journal, and who may have
// written it. At least a slice, a unit or an identifier is needed.
type JournalOptions struct {
	Slices      []string // of services that are read whole: system-postfix.slice
	Units       []string // likewise: postfix.service
	Identifiers []string // names under which others write: dovecot

	// An entry counts only if all of these that are given hold for the process
	// that wrote it, by what the kernel told the journal.
	Users    []string // names or numbers; nil: root, postfix
	Commands []string // short names of programs (_COMM); nil: any. An entry that came without is let pass
	Programs []string // paths, or folders with a final slash (_EXE); likewise

	Start      Start            // where to begin without a position; FromStart and FromHistory are the same
	MaxLine    int              // longest message in bytes; 0: 65,536
	Journalctl string           // program; "": journalctl
	Retry      time.Duration    // first pause before journalctl is started again, doubled up to 30 s; 0: 1 s
	Now        func() time.Time // wall clock; nil: time.Now
}

const (
	retryFirst = time.Second
	retryMost  = 30 * time.Second
)

// defaultUsers write the lines of Postfix and Dovecot: the master and the
// delivery agents log as root, smtpd and its like as postfix, Dovecot through
// its log process, as root. Commands that users have run at a delivery are in
// Postfix's own slice, but run as that user.
var defaultUsers = []string{"root", "postfix"}

// NewJournal returns the source that reads the systemd journal live.
//
// It reads `journalctl -f -o export`, whose fields that begin with an
// underscore come from the kernel: an entry counts only if its user is one of
// Users and its slice or unit is one that is read. Of an entry that is read for
// its identifier, which its sender may choose, the user must fit. Any other
// is refused and counted.
//
// A line has the form "2006-01-02T15:04:05.000000Z host identifier[pid]: message",
// with the time at which the journal received it. Control characters in the
// message are blanks, so that no message is two lines.
//
// journalctl is started again when it ends, behind the last entry. If that is
// not in the journal any more, the entries after its time are read, and a [Gap]
// is reported.
func NewJournal(o JournalOptions) Source { return newJournal(o) }

func newJournal(o JournalOptions) *journal {
	if o.MaxLine <= 0 {
		o.MaxLine = defaultMaxLine
	}
	if o.Journalctl == "" {
		o.Journalctl = "journalctl"
	}
	if o.Retry <= 0 {
		o.Retry = retryFirst
	}
	if o.Users == nil {
		o.Users = defaultUsers
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	j := &journal{o: o, environ: journalEnviron, lookup: lookupUser}
	j.now = o.Now
	j.status.State, j.status.Lag = Idle, -1
	return j
}

// journalEnviron is all that journalctl gets of an environment.
var journalEnviron = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=", "SYSTEMD_LESS="}

func lookupUser(name string) (string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return u.Uid, nil
}

// Name says what is read.
func (j *journal) Name() string {
	var parts []string
	for _, list := range [][]string{j.o.Slices, j.o.Units, j.o.Identifiers} {
		parts = append(parts, list...)
	}
	return "journal: " + strings.Join(parts, ", ")
}

// matches are the arguments that choose entries: of one group all must hold,
// groups are divided by "+". The same field twice means either.
func (o JournalOptions) matches() []string {
	var args []string
	for _, m := range []struct {
		field  string
		values []string
	}{{"_SYSTEMD_SLICE", o.Slices}, {"_SYSTEMD_UNIT", o.Units}, {"SYSLOG_IDENTIFIER", o.Identifiers}} {
		if len(m.values) > 0 && len(args) > 0 {
			args = append(args, "+")
		}
		for _, v := range m.values {
			args = append(args, m.field+"="+v)
		}
	}
	return args
}

// trust decides who may have written an entry.
type trust struct {
	o    JournalOptions
	uids []string
}

// newTrust turns names of users into numbers. A user that does not exist
// writes nothing, so a missing one is no error as long as one is there.
func newTrust(o JournalOptions, lookup func(string) (string, error)) (trust, error) {
	t := trust{o: o}
	for _, name := range o.Users {
		if _, err := strconv.ParseUint(name, 10, 32); err == nil {
			t.uids = append(t.uids, name)
		} else if name == "root" {
			t.uids = append(t.uids, "0")
		} else if uid, err := lookup(name); err == nil {
			t.uids = append(t.uids, uid)
		}
	}
	if len(t.uids) == 0 {
		return t, fmt.Errorf("none of the users %s exists: nothing in the journal can be trusted", strings.Join(o.Users, ", "))
	}
	return t, nil
}

// accepts says whether an entry was written by whom it says.
func (t *trust) accepts(e *entry) bool {
	if e.torn || !slices.Contains(t.uids, string(e.uid)) {
		return false
	}
	if !slices.Contains(t.o.Slices, string(e.slice)) && !slices.Contains(t.o.Units, string(e.unit)) &&
		!slices.Contains(t.o.Identifiers, string(e.identifier)) {
		return false
	}
	if len(t.o.Commands) > 0 && len(e.command) > 0 && !slices.Contains(t.o.Commands, string(e.command)) {
		return false
	}
	fits := func(p string) bool {
		if strings.HasSuffix(p, "/") {
			return strings.HasPrefix(string(e.program), p)
		}
		return string(e.program) == p
	}
	return len(t.o.Programs) == 0 || len(e.program) == 0 || slices.ContainsFunc(t.o.Programs, fits)
}
