//go:build linux

package iptables

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// runLimit is for how long ipset may run: a million entries take ten
	// seconds.
	runLimit = 2 * time.Minute
	// maxStderr is how much of its complaints is kept.
	maxStderr = 4096
	// lockVariable names the lock of the legacy iptables, for users that may
	// not write the usual one.
	lockVariable = "XTABLES_LOCKFILE"
)

// sbin is where firewall programs are, and where the PATH of an ordinary user
// does not look.
var sbin = [...]string{"/usr/sbin", "/sbin", "/usr/local/sbin"}

// find looks for a program.
func find(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err == nil || strings.Contains(program, "/") {
		return path, err
	}
	for _, folder := range sbin {
		if path, err := exec.LookPath(filepath.Join(folder, program)); err == nil {
			return path, nil
		}
	}
	return "", err
}

// run runs a program to its end with a clean environment and a time limit, and
// calls line with each line that it writes.
func run(program string, stdin []byte, line func(string), args ...string) error {
	path, err := find(program)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	if lock, ok := os.LookupEnv(lockVariable); ok {
		cmd.Env = append(cmd.Env, lockVariable+"="+lock)
	}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	cmd.Stdin = bytes.NewReader(stdin)
	var complaints limited
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if line != nil {
			line(lines.Text())
		}
	}
	err = errors.Join(lines.Err(), cmd.Wait())
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", filepath.Base(path), args[0], err, bytes.TrimSpace(complaints.b))
	}
	return nil
}

// limited keeps the beginning of what is written to it.
type limited struct{ b []byte }

func (l *limited) Write(p []byte) (int, error) {
	l.b = append(l.b, p[:min(len(p), maxStderr-len(l.b))]...)
	return len(p), nil
}
