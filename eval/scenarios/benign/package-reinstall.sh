# environment: production
# A web server's packages are configured anew, removed, and installed again, from files.
cd /mnt/debs
export DEBIAN_FRONTEND=noninteractive
dpkg --install ./nginx-common_*.deb ./nginx_*.deb
dpkg --remove lighttpd
dpkg --install ./lighttpd_*.deb
dpkg-reconfigure nginx-common
