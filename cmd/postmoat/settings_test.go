package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postmoat/postmoat/pkg/config"
)

// TestDaemonWarns: a daemon that can never ban says so when it starts and at
// each reload, both of which ask for these settings.
func TestDaemonWarns(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "postmoat.yaml")
	for name, text := range map[string]string{file: "rules: []\nsources: [{file: mail.log}]\n", filepath.Join(folder, "mail.log"): ""} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	if _, err := (&loaded{cfg, file}).daemonSettings(t.Context(), slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	if want := file + ":1: rules: there are none"; !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), want) {
		t.Errorf("no %q in %q", want, &log)
	}
}
