//go:build linux

package source

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const realVariable = "SOURCE_TEST_REAL_JOURNAL"

// TestJournalReal reads from a real systemd-journald, which runs in a mount
// namespace of its own: live lines, a restart at the saved cursor, and an entry
// that another user forged.
func TestJournalReal(t *testing.T) {
	const journald = "/lib/systemd/systemd-journald"
	if os.Getenv(realVariable) != "" {
		realJournal(t)
		return
	}
	if testing.Short() {
		t.Skip("starts a systemd-journald")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for _, p := range []string{journald, "unshare", "journalctl", "logger", "setpriv", "mount"} {
		if _, err := exec.LookPath(p); err != nil {
			missing(t, err.Error())
		}
	}
	if out, err := exec.Command("unshare", "-m", "mount", "-t", "tmpfs", "none", "/run").CombinedOutput(); err != nil {
		t.Skipf("no mount namespace: %s", out)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := `set -e
mount -t tmpfs none /run; mount -t tmpfs none /var/log; mkdir -p /run/systemd/journal
` + journald + ` & J=$!
trap 'kill $J' EXIT
for i in $(seq 300); do [ -S /run/systemd/journal/dev-log ] && break; sleep 0.1; done
[ -S /run/systemd/journal/dev-log ] || { echo no journald; exit 77; }
"$1" -test.run '^TestJournalReal$' -test.timeout 60s`
	cmd := exec.Command("unshare", "-m", "sh", "-c", script, "sh", exe)
	cmd.Env = append(os.Environ(), realVariable+"=1")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 77 {
		missing(t, fmt.Sprintf("systemd-journald does not start here: %s", out))
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func realJournal(t *testing.T) {
	logger := func(user, message string) {
		args := []string{"logger", "-u", "/run/systemd/journal/dev-log", "-t", "postfix/smtpd", "-p", "mail.info", message}
		if user != "" {
			args = append([]string{"setpriv", "--reuid=" + user, "--clear-groups"}, args...)
		}
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	o := JournalOptions{Identifiers: []string{"postfix/smtpd"}, Users: []string{"root"}, Start: FromHistory}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var from Position
	var got []string
	read := func(until int) *journal {
		j := newJournal(o)
		err := j.Run(ctx, from, func(l Line) error {
			from, got = l.Position, append(got, string(l.Text))
			switch {
			case len(got) == until:
				return errCrash
			case len(got) == 14: // now live
				logger("65534", "forged")
				for i := range 3 {
					logger("", fmt.Sprintf("line %d", 15+i))
				}
			}
			return nil
		})
		if err != errCrash {
			t.Fatalf("%v: %q %+v", err, got, j.Status())
		}
		return j
	}
	for i := range 14 {
		logger("", fmt.Sprintf("line %d", i+1))
	}
	read(2)
	j := read(17)
	for i, s := range got {
		if !strings.HasSuffix(s, fmt.Sprintf("]: line %d", i+1)) && !strings.HasSuffix(s, fmt.Sprintf("postfix/smtpd: line %d", i+1)) {
			t.Errorf("line %d: %q", i+1, s)
		}
	}
	if s := j.Status(); s.Refused != 1 || len(s.Alarms) != 1 || s.Alarms[0].Kind != Forged {
		t.Errorf("%+v", s)
	}
	// A cursor that is ahead of the journal, and one that is none.
	for _, c := range []string{strings.Replace(from.Cursor, "i=", "i=7f", 1), "garbage"} {
		from.Cursor = c
		logger("", "after 1")
		stop, stopped := make(chan bool), make(chan bool)
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				case <-time.After(300 * time.Millisecond):
					_ = exec.Command("logger", "-u", "/run/systemd/journal/dev-log", "-t", "postfix/smtpd", "after 2").Run()
				}
			}
		}()
		j = read(len(got) + 2)
		close(stop)
		<-stopped
		if s := j.Status(); !strings.HasSuffix(got[len(got)-1], "after 2") || !strings.HasSuffix(got[len(got)-2], "after 1") || len(s.Alarms) == 0 || s.Alarms[0].Kind != Gap {
			t.Errorf("cursor %s: %q %+v", c, got[len(got)-2:], s)
		}
		o.Start, from = FromEnd, Position{Cursor: from.Cursor, Time: time.Now().UnixMicro()} // what came meanwhile is not asked for
	}
}
