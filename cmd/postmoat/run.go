package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/postmoat/postmoat/pkg/control"
	"github.com/postmoat/postmoat/pkg/daemon"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/memory"
	"github.com/postmoat/postmoat/pkg/firewall/sever"
	"github.com/postmoat/postmoat/pkg/privilege"
)

// runOptions are the flags of run.
type runOptions struct {
	set    settings
	dryRun bool
	user   string
	level  string
}

// defaultUser is whom a daemon that was started as root becomes, if there is
// such a user.
const defaultUser = "postmoat"

func runCommand() *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run",
		Short: "Follow the logs and ban, until stopped",
		Long: `run is the daemon: it follows the maillog (or the journal), bans who abuses the
host, and keeps the firewall in step. Its state is kept in a folder, so that a
restart or a crash changes nothing. It stays in the foreground and logs to
standard error; systemd, OpenRC and rc.d files are in contrib/.

With --dry-run it does everything but touch the firewall: list, explain and the
metrics then show what it would do.

Started as root it becomes the user postmoat, if there is one, and keeps only
the capabilities that the firewall needs. SIGHUP reads configuration and rules
again; SIGTERM ends it: the bans stay in the firewall, each until its end.`,
		Example: `  postmoat run
  postmoat run --dry-run --config ./postmoat.yaml`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var level slog.Level
			if err := level.UnmarshalText([]byte(o.level)); err != nil {
				return usagef("--log-level %s: write debug, info, warn or error", o.level)
			}
			return o.run(c.Context(), logger(c.ErrOrStderr(), level))
		},
	}
	o.set.add(c)
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "do everything but touch the firewall")
	c.Flags().StringVar(&o.user, "user", "", "`USER` to become when started as root; root stays root (default "+defaultUser+" if there is one)")
	c.Flags().StringVar(&o.level, "log-level", "info", "what to log: `LEVEL` debug, info, warn or error")
	return c
}

func (o *runOptions) run(ctx context.Context, log *slog.Logger) error {
	notify, tuned := daemon.Systemd(log), tunedByHand()
	cleanEnvironment()
	cfg, err := o.set.load()
	if err != nil {
		return err
	}
	word := "run"
	if o.dryRun {
		word = "run --dry-run"
	}
	lock, err := cfg.lock(word, o.dryRun)
	if err != nil {
		return err
	}
	defer lock.Release()
	fresh, err := cfg.daemonSettings(ctx, log)
	if err != nil {
		return err
	}
	b, severer, err := o.firewall(ctx, cfg, log)
	if err != nil {
		return err
	}
	doors, err := cfg.listen(log)
	if err != nil {
		return errors.Join(err, b.Close())
	}
	if err := o.drop(cfg, b.Name(), log); err != nil {
		return errors.Join(err, doors.close(), b.Close())
	}
	caughtUp := make(chan struct{}, 1)
	d, err := daemon.New(daemon.Options{
		Settings: fresh, Version: version, State: cfg.State, Backend: b, DryRun: o.dryRun, Severer: severer,
		Reload: func(ctx context.Context) (daemon.Settings, error) { return o.reload(ctx, log) },
		Notify: func(n daemon.Notice, text string) {
			if n == daemon.CaughtUp {
				select {
				case caughtUp <- struct{}{}:
				default: // nobody looks after memory; the core must not wait
				}
			}
			if notify != nil {
				notify(n, text)
			}
		},
		Log: log,
	})
	if err != nil {
		return errors.Join(err, doors.close(), b.Close())
	}
	log.Info("postmoat starts", "version", version, "configuration", cfg.name(), "backend", b.Name(), "dry_run", o.dryRun)
	if tuned {
		return serve(ctx, d, doors, nil, log)
	}
	return serve(ctx, d, doors, caughtUp, log)
}

// serve runs the daemon and its doors until ctx ends or the daemon fails. Memory
// is looked after unless caughtUp is nil, see keepSmall.
func serve(ctx context.Context, d *daemon.Daemon, doors *doors, caughtUp <-chan struct{}, log *slog.Logger) error {
	s := control.NewServer(control.Options{Daemon: d, Log: log})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.Run(ctx) })
	g.Go(func() error { return s.Serve(ctx, doors.control) })
	if caughtUp != nil {
		g.Go(func() error {
			keepSmall(ctx, caughtUp)
			return nil
		})
	}
	if doors.metrics != nil {
		g.Go(func() error { return s.ServeMetrics(ctx, doors.metrics) })
	}
	g.Go(func() error {
		hup := make(chan os.Signal, 1)
		signal.Notify(hup, syscall.SIGHUP)
		defer signal.Stop(hup)
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-hup:
				// What is wrong is logged, and the old configuration stays.
				_, _ = d.Reload(ctx, "SIGHUP")
			}
		}
	})
	return g.Wait()
}

// firewall opens what holds the bans.
func (o *runOptions) firewall(ctx context.Context, cfg *loaded, log *slog.Logger) (firewall.Backend, *sever.Severer, error) {
	opts, err := cfg.firewallOptions()
	if err != nil {
		return nil, nil, err
	}
	if o.dryRun {
		b, err := memory.New(opts)
		return b, nil, err
	}
	b, err := cfg.backend(ctx)
	if err != nil {
		return nil, nil, hinted{err, "'postmoat check --firewall' says more; 'postmoat run --dry-run' works without a firewall"}
	}
	s, err := sever.New(opts)
	if err != nil && b.Name() != "pf" { // pf kills states by itself
		log.Warn("open connections of banned clients will not be cut", "err", err)
	}
	return b, s, nil
}

// drop becomes an ordinary user.
func (o *runOptions) drop(cfg *loaded, backend string, log *slog.Logger) error {
	if os.Geteuid() != 0 || o.user == "root" {
		return nil
	}
	if backend == "pf" {
		log.Info("stays root: pf belongs to root")
		return nil
	}
	name := o.user
	if name == "" {
		if _, err := user.Lookup(defaultUser); err != nil {
			log.Warn("stays root: there is no user "+defaultUser, "hint", "create it (useradd --system "+defaultUser+"), or say --user root")
			return nil
		}
		name = defaultUser
	}
	if err := giveAway(name, cfg.State); err != nil {
		return err
	}
	keep := []privilege.Cap{}
	switch backend {
	case "nftables":
		keep = append(keep, privilege.NetAdmin)
	case "iptables":
		keep = append(keep, privilege.NetAdmin, privilege.NetRaw)
	}
	r, err := privilege.Drop(privilege.Options{User: name, Groups: append(slices.Clone(daemonGroups), cfg.Control.Group), Keep: keep})
	if err != nil {
		var e *privilege.Error
		if errors.As(err, &e) && e.Hint != "" {
			return hinted{err, e.Hint}
		}
		return hinted{err, "say --user root to stay root"}
	}
	log.Info("is no longer root", "user", name, "groups", r.Groups, "capabilities", fmt.Sprint(r.Caps))
	return nil
}

// giveAway makes a user the owner of the state: the folder and what is in it.
func giveAway(name, folder string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return usagef("--user %s: there is no such user", name)
	}
	var uid, gid int
	if _, err := fmt.Sscan(u.Uid, &uid); err != nil {
		return fmt.Errorf("user %s: %w", name, err)
	}
	if _, err := fmt.Sscan(u.Gid, &gid); err != nil {
		return fmt.Errorf("user %s: %w", name, err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	defer root.Close()
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	for _, e := range entries {
		if err := root.Lchown(e.Name(), uid, gid); err != nil {
			return fmt.Errorf("state folder: %w", err)
		}
	}
	return root.Lchown(".", uid, gid)
}

// doors are where the daemon can be spoken to.
type doors struct {
	control net.Listener
	metrics net.Listener // nil: not wanted
}

func (d *doors) close() error {
	err := d.control.Close()
	if d.metrics != nil {
		err = errors.Join(err, d.metrics.Close())
	}
	return err
}

// listen opens the control socket, and the port of the metrics.
func (l *loaded) listen(log *slog.Logger) (*doors, error) {
	folder := filepath.Dir(l.Control.Socket)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, hinted{fmt.Errorf("control socket: %w", err), "name a folder of yours with control: {socket: ...} in the configuration, or start as root"}
	}
	s, err := control.Listen(control.SocketOptions{Path: l.Control.Socket, Group: l.Control.Group, Mode: l.Control.Mode, Log: log})
	if err != nil {
		return nil, err
	}
	d := &doors{control: s}
	if l.Metrics.Listen != "" {
		if d.metrics, err = net.Listen("tcp", l.Metrics.Listen); err != nil {
			return nil, errors.Join(fmt.Errorf("metrics: %w", err), s.Close())
		}
	}
	return d, nil
}

// reload reads the configuration again.
func (o *runOptions) reload(ctx context.Context, log *slog.Logger) (daemon.Settings, error) {
	cfg, err := o.set.load()
	if err != nil {
		return daemon.Settings{}, err
	}
	return cfg.daemonSettings(ctx, log)
}

// logger writes to standard error. Under systemd the journal has the times
// already.
func logger(w interface{ Write([]byte) (int, error) }, level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if strings.Contains(os.Getenv("JOURNAL_STREAM"), ":") {
		o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(w, o))
}
