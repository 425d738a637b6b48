package pf

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"strings"

	"github.com/postmoat/postmoat/pkg/firewall"
)

const name = "pf"

// explain makes an error that an operator can act on of what pfctl said. Texts
// are looked for within standard error, which may hold notes as well; FreeBSD
// and macOS end many with a full stop, OpenBSD does not.
func explain(op string, err error) error { return firewall.Explain(name, op, err, meaning) }

func meaning(err error) (hint string, kind error) {
	text := ""
	if r, ok := errors.AsType[*refusal](err); ok {
		text = r.text
	}
	says := func(s string) bool { return strings.Contains(text, s) }
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return "pfctl belongs to OpenBSD, FreeBSD and macOS; elsewhere use another backend.", firewall.ErrMissingProgram
	case errors.Is(err, context.DeadlineExceeded):
		return "Read back what is there and repair it; if it happens again, the machine is overloaded.", firewall.ErrUncertain
	case says("/dev/pf: No such file"), says("/dev/pf: Device not configured"):
		return "The kernel has no pf: on FreeBSD, kldload pf, and pf_load=YES in /boot/loader.conf.", firewall.ErrMissingModule
	case says("/dev/pf: Permission denied"), says("/dev/pf: Operation not permitted"), errors.Is(err, fs.ErrPermission):
		return "pfctl has to open /dev/pf for writing: run as root.", firewall.ErrNotPermitted
	case says(": DIOC") && says("Operation not permitted"):
		return "The kernel refuses every change to pf: lower kern.securelevel, which is 2 or more (FreeBSD: 3).", firewall.ErrNotPermitted
	case isConst(err):
		return "Somebody made a table const: set it up again. (Or kern.securelevel is too high.)", firewall.ErrGone
	case says("Cannot allocate memory"):
		return "All tables together are full: set limit table-entries 1000000 in pf.conf, or lower collapse.budget.", firewall.ErrSetFull
	case saysLine(text, "pfctl: Invalid argument"):
		return "More entries in one table than FreeBSD hands over at once: raise the sysctl net.pf.request_maxcount (a loader tunable), or lower collapse.budget.", firewall.ErrSetFull
	case says("does not exist"):
		return "Somebody removed the anchor or its tables: set it up again.", firewall.ErrGone
	}
	return "", nil
}

// gone says that a table or an anchor is not there.
func gone(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && (strings.Contains(r.text, "Table does not exist") ||
		strings.Contains(r.text, "Anchor does not exist") ||
		strings.Contains(r.text, "Anchor or Ruleset does not exist"))
}

func ignoreGone(err error) error {
	if gone(err) {
		return nil
	}
	return err
}

// isConst: pf refuses to change the addresses of a const table.
func isConst(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && saysLine(r.text, "pfctl: Operation not permitted")
}

// badSyntax: a word in the rules that this pfctl does not know.
func badSyntax(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && strings.Contains(r.text, "syntax error")
}

// saysLine looks for a whole line, with or without a full stop.
func saysLine(text, want string) bool {
	for line := range strings.Lines(text) {
		if strings.TrimSuffix(strings.TrimSpace(line), ".") == want {
			return true
		}
	}
	return false
}
