# environment: production
# The maintainer scripts of several packages, as in an upgrade of the system, with triggers.
cd /mnt/debs
export DEBIAN_FRONTEND=noninteractive
dpkg --install ./openssl_*.deb ./ca-certificates_*.deb ./cron_*.deb ./logrotate_*.deb ./php8.2-cli_*.deb ./php8.2-fpm_*.deb
