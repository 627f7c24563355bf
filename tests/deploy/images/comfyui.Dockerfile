# Somebody's image with a ComfyUI, as far as nginx can tell: it answers at 8188, and says whether it has the extension.
FROM nginx:stable
COPY comfyui.conf /etc/nginx/nginx.conf
CMD ["nginx", "-g", "daemon off;"]
