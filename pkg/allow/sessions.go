package allow

import (
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/postmoat/postmoat/pkg/prefix"
)

const (
	sessionFolder  = "/run/systemd/sessions"
	maxSessions    = 1024
	maxSessionFile = 64 << 10
	maxUtmp        = 4 << 20
)

// A session is an authenticated login over SSH.
type session struct {
	user, line string // for people: cut and printable
	peer       netip.Addr
}

func (s session) origin() string {
	return "ssh session of " + s.user + " (" + s.line + ")"
}

// parseSession reads a session file of logind (sd-login(3): KEY=value lines).
// ok is false for what is not a living login over SSH from an address. logind
// learns of a session from PAM, after the user has been authenticated.
func parseSession(id string, text []byte) (s session, ok bool) {
	vars := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		key, value, found := strings.Cut(strings.TrimRight(line, "\n"), "=")
		if found && len(vars) < 256 {
			vars[key] = unquote(value)
		}
	}
	switch {
	case vars["REMOTE"] != "1", !strings.HasPrefix(vars["CLASS"], "user"),
		vars["STATE"] != "active" && vars["STATE"] != "online":
		return s, false
	}
	switch vars["SERVICE"] {
	case "sshd", "ssh", "dropbear":
	default:
		return s, false
	}
	// A name here comes from the peer's own DNS: it proves nothing.
	a, err := netip.ParseAddr(vars["REMOTE_HOST"])
	if err != nil {
		return s, false
	}
	s = session{user: word([]byte(vars["USER"])), line: word([]byte(vars["TTY"])), peer: prefix.Addr(a)}
	if s.user == "" {
		s.user = "uid " + word([]byte(vars["UID"]))
	}
	if s.line == "" {
		s.line = "session " + word([]byte(id))
	}
	return s, true
}

// unquote takes the quotes off that systemd writes where it has to escape.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// logind reads the session files; there is no D-Bus in it. found is false on a
// host without logind.
func (o Options) logind() (all []session, found bool, err error) {
	d, err := os.Open(o.under(sessionFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, true, reason(err)
	}
	defer d.Close()
	ids, err := d.Readdirnames(4 * maxSessions)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, true, reason(err)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if strings.Contains(id, ".") {
			continue // the FIFO beside each session, or a file that is being written
		}
		text, err := o.read(filepath.Join(sessionFolder, id), maxSessionFile)
		if err != nil {
			continue // it ended meanwhile
		}
		if s, ok := parseSession(id, text); ok && len(all) < maxSessions {
			all = append(all, s)
		}
	}
	return all, true, nil
}

// utmp reads the records of logins. Any member of the group utmp can write
// there with the help of utempter, but only a host name; the address in binary
// is written by sshd alone. found is false on a host without the file.
func (o Options) utmp(layout utmpLayout) (all []session, found bool, err error) {
	var text []byte
	for _, path := range []string{"/run/utmp", "/var/run/utmp"} {
		if text, err = o.read(path, maxUtmp); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, true, err
	}
	for _, r := range parseUtmp(text, layout) {
		if strings.HasPrefix(r.line, "pts/") && o.sshd(r.pid) && len(all) < maxSessions {
			all = append(all, session{user: r.user, line: r.line, peer: r.peer})
		}
	}
	return all, true, nil
}

// sshd says whether the process of a record lives and is that of an SSH server.
// Where the processes of others are hidden from us, the record stands for itself.
func (o Options) sshd(pid int32) bool {
	name, err := o.read("/proc/"+strconv.Itoa(int(pid))+"/comm", 64)
	if err != nil {
		_, err := os.Stat(o.under("/proc/1"))
		return err != nil
	}
	return strings.HasPrefix(string(name), "sshd") || strings.HasPrefix(string(name), "dropbear")
}

// SSHPeer gives the client's address of the value of SSH_CONNECTION. It is for
// commands that a user runs for himself: whoever sets the variable may say
// anything.
func SSHPeer(connection string) (netip.Addr, bool) {
	first, _, ok := strings.Cut(connection, " ")
	if !ok || len(first) > 64 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(first)
	return prefix.Addr(a), err == nil
}
