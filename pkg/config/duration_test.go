package config

import (
	"strings"
	"testing"
	"time"
)

func TestExportedDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90m": 90 * time.Minute, "36h": 36 * time.Hour, "7d": 7 * 24 * time.Hour, "1h30m": 90 * time.Minute, "1s": time.Second,
	} {
		if got, err := ParseDuration(text); got != want || err != nil {
			t.Errorf("%s: %v %v, want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "not a duration", "5": "write 5s, 5m, 5h or 5d", "-5m": "not a duration", "0s": "out of range", "0": "0 is no time: write 1s to 3650d", "4000d": "out of range",
		"1.5h": "not a duration", "30m1h": "not a duration", "1w": "not a duration", strings.Repeat("9", 300): "no unit",
	} {
		if got, err := ParseDuration(text); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 700 {
			t.Errorf("%s: %v %v, want %q", text, got, err, want)
		}
	}
}
