package main

import (
	"context"
	"crypto/sha256"
	"os"
	"time"
)

// watchInterval is how often the content of the configuration's files is compared.
// Polling contents needs no code per platform and sees what file events miss: the
// symbolic-link swaps of Kubernetes volumes, NFS, overlays.
const watchInterval = 5 * time.Second

// watch calls changed whenever the content of one of the files differs from what it was
// at the last call; seen is what it was when they were read. files is asked anew each time, as a reload may name others. A file
// that is missing or unreadable for a moment counts as unchanged: editors and secret
// volumes replace files in two steps.
func watch(ctx context.Context, seen map[string][sha256.Size]byte, files func() []string, changed func()) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := digests(seen, files())
		different := false
		for name, sum := range now {
			if old, ok := seen[name]; ok && old != sum {
				different = true
			}
		}
		seen = now
		if different {
			changed()
		}
	}
}

func digests(before map[string][sha256.Size]byte, files []string) map[string][sha256.Size]byte {
	sums := make(map[string][sha256.Size]byte, len(files))
	for _, name := range files {
		content, err := os.ReadFile(name)
		switch {
		case err == nil:
			sums[name] = sha256.Sum256(content)
		default:
			if old, ok := before[name]; ok {
				sums[name] = old
			}
		}
	}
	return sums
}
