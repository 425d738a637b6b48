package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// daemonGroups are the groups that the shipped units give the daemon.
var daemonGroups = []string{"adm", "systemd-journal"}

// checkSources says which logs the daemon would follow, and whether it could
// read them.
func (l *loaded) checkSources(ctx context.Context, print func(format string, args ...any)) error {
	log := slog.New(slog.NewTextHandler(printer(print), &slog.HandlerOptions{ReplaceAttr: bare}))
	list, err := l.sources(ctx, log)
	if err != nil {
		return err
	}
	var bad []string
	for _, s := range list {
		path, isFile := strings.CutPrefix(s.Key, "file:")
		if !isFile {
			print("source %s: ok, if the daemon may read the journal (group systemd-journal)\n", s.Key)
			continue
		}
		why, hint := unreadable(path)
		if why == "" {
			print("source %s: ok\n", s.Key)
			continue
		}
		print("source %s: %s\n", s.Key, why)
		if hint != "" {
			print("    %s\n", hint)
		}
		bad = append(bad, path)
	}
	if len(bad) > 0 {
		return fmt.Errorf("sources: %s can't be read by the daemon now", strings.Join(bad, ", "))
	}
	return nil
}

// printer is a writer that prints.
type printer func(format string, args ...any)

func (p printer) Write(text []byte) (int, error) {
	p("%s", text)
	return len(text), nil
}

// bare leaves the message and what it is about.
func bare(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
		return slog.Attr{}
	}
	return a
}

// unreadable says why the daemon could not read a log, and what helps; "" when
// it could.
func unreadable(path string) (why, hint string) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "not there yet", "the daemon waits for it; if Postfix logs elsewhere, name that with sources: in the configuration"
	case err != nil:
		return err.Error(), ""
	case !info.Mode().IsRegular():
		return "is no file", "name the log itself with sources: in the configuration"
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", ""
	}
	if mayRead(info.Mode(), st.Uid, st.Gid) {
		return "", ""
	}
	return fmt.Sprintf("the user %s may not read it (mode %04o, owner %d:%d)", defaultUser, info.Mode().Perm(), st.Uid, st.Gid),
		"let a group of the daemon read it (chgrp adm, chmod g+r, and in logrotate: create 0640 root adm), or install contrib/systemd/read-log.conf as a drop-in of postmoat.service"
}

// mayRead says whether the daemon's user may read a file of this mode and
// owner; where there is no such user yet, whether one in the daemon's groups
// could.
func mayRead(mode fs.FileMode, uid, gid uint32) bool {
	if mode&0o004 != 0 {
		return true
	}
	var gids []string
	if u, err := user.Lookup(defaultUser); err == nil {
		if u.Uid == strconv.FormatUint(uint64(uid), 10) {
			return mode&0o400 != 0
		}
		if own, err := u.GroupIds(); err == nil {
			gids = own
		}
	}
	for _, name := range daemonGroups {
		if g, err := user.LookupGroup(name); err == nil {
			gids = append(gids, g.Gid)
		}
	}
	return mode&0o040 != 0 && slices.Contains(gids, strconv.FormatUint(uint64(gid), 10))
}
