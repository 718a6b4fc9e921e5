#!/usr/bin/env bash
# Plays many drawn scenarios in the simulator: peers, files, links, faults and hostile hosts by seed, checked after every step.
# Usage: scripts/campaign.sh [SEEDS] [FIRST]      (default: 1000 from 0)
# A seed that fails is named with what broke; play it alone with: scripts/campaign.sh 1 SEED
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seeds=${1:-1000} first=${2:-0}
case "$seeds$first" in
    *[!0-9]*) echo "usage: scripts/campaign.sh [SEEDS] [FIRST], both numbers" >&2; exit 2 ;;
esac
CHUNKCAST_SIM_SEEDS=$seeds CHUNKCAST_SIM_FIRST=$first exec cargo test --test simulation campaign -- --nocapture
